"""The Optuna storage, a mirror of the record log.

Each finished trial is written once, and completely: the records can be read back from the storage alone. Records are
split into user attributes of fewer than 1,000 characters, so that optuna-dashboard shows them in full.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import sqlalchemy.exc

from nas_attn.errors import NasAttnError, UserError, storage_full
from nas_attn.study.sampler import DIRECTIONS, Known, Suggester
from nas_attn.study.storage_url import VARIABLE, StorageUrl, without_secrets

PIECE = 900  # characters; optuna-dashboard shows 1,024 of an attribute, and JSON escapes make a text longer
POSTGRES = "pip install 'nas_attn[postgres]'"
STORAGE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)


class StorageLocked(UserError):
    """Another process has locked the database, for longer than the database driver waits."""


class Mirror:
    """An Optuna study that receives every finished trial.

    Args:
        url: SQLAlchemy URL of the storage.
        name: name of the study in the storage.
        study_id: distinguishes this study from others with the same name.
        tell: called with a line of text if another process has locked the database.
        patience: seconds to wait for a locked database. After that, each write tries to open it again.

    Raises:
        UserError: the database cannot be opened, or it holds another study with the same name.
    """

    def __init__(
        self,
        url: str,
        name: str,
        study_id: str,
        tell: Callable[[str], None] = lambda text: None,
        patience: float = 60.0,
    ) -> None:
        self.url, self._name, self._id = url, name, study_id
        self.hide = StorageUrl(url).hide
        self._storage: optuna.storages.RDBStorage | None = None
        self._headers: set[str] = set()
        self._numbers: set[int | None] = set()
        end = time.monotonic() + patience
        told = False
        while True:
            try:
                return self._open()
            except StorageLocked:
                if time.monotonic() >= end:
                    return tell("The storage is still locked. The search continues, and writes to it once it is free.")
            if not told:
                tell(f"Another process has locked '{StorageUrl(url)}'. Waiting up to {patience:.0f} s for it.")
                told = True
            time.sleep(min(1.0, patience / 10))

    def _open(self) -> None:
        if self._storage is not None:
            return
        with _opening(self.url) as storage:
            self._study = _open_study(storage, self._name, self._id, str(StorageUrl(self.url)))
            self._headers = {k.partition(":")[0] for k in self._study.user_attrs}
            self._numbers = {t.user_attrs.get("number") for t in self._study.get_trials(deepcopy=False)}
            self._storage = storage

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._storage is not None:
            _close(self._storage)

    def __contains__(self, number: int) -> bool:
        """True if the storage has the trial of this number."""
        return number in self._numbers

    def write_header(self, record: dict[str, Any]) -> None:
        """Store a record of the whole study (kind `study` or `slots`), unless it is stored already."""
        self._open()
        if record["kind"] in self._headers:
            return
        for key, value in _pieces(record["kind"], record).items():
            self._study.set_user_attr(key, value)
        self._headers.add(record["kind"])

    def write_trial(self, suggester: Suggester, number: int, known: Known, records: list[dict[str, Any]]) -> None:
        """Store a finished or refused trial with its records in one write, unless it is stored already.

        Args:
            suggester: makes the Optuna trial.
            number: number of the trial.
            known: the trial as samplers see it.
            records: all records of the trial.
        """
        self._open()
        if number in self._numbers:
            return
        trial = suggester.frozen(known, outside=optuna.trial.TrialState.COMPLETE)
        trial.user_attrs = {"number": number, **_pieces("record", records)}
        self._study.add_trial(trial)
        self._numbers.add(number)


def check_storage(url: str) -> None:
    """Check that a storage can be opened, without changing it. A locked storage passes the check.

    Raises:
        UserError: the database cannot be opened.
    """
    with contextlib.suppress(StorageLocked), _opening(url) as storage, _closing(storage):
        storage.get_all_studies()


def _open_study(storage: optuna.storages.RDBStorage, name: str, study_id: str, where: str) -> optuna.Study:
    """The Optuna study of that name, new or from an earlier run.

    Raises:
        UserError: the storage holds another study of that name.
    """
    study = optuna.create_study(storage=storage, study_name=name, directions=DIRECTIONS, load_if_exists=True)
    header = _joined("study", study.user_attrs) if "study:0" in study.user_attrs else None
    foreign = header is None and len(study.get_trials(deepcopy=False)) > 0
    if tuple(study.directions) != DIRECTIONS or foreign or (header is not None and header.get("id", "") != study_id):
        raise UserError(
            "a storage must not hold another study with the same name",
            got=f"'{name}'",
            where=where,
            remedy="Give the search another name or another --storage, or delete the old study with "
            "`optuna delete-study`.",
        )
    return study


def forget(url: str, name: str, study_id: str) -> None:
    """Remove a study from its Optuna storage, if it is there. Another study of that name stays.

    Args:
        url: SQLAlchemy URL of the storage.
        name: name of the study.
        study_id: the `id` in its header.

    Raises:
        UserError: the database cannot be opened.
    """
    with _opening(url) as storage, _closing(storage), contextlib.suppress(KeyError):
        there = optuna.load_study(study_name=name, storage=storage).user_attrs
        if "study:0" in there and _joined("study", there).get("id", "") == study_id:
            optuna.delete_study(study_name=name, storage=storage)


def read_mirror(url: str, name: str) -> list[dict[str, Any]]:
    """The records of a study, read from its Optuna storage alone.

    Args:
        url: SQLAlchemy URL of the storage.
        name: name of the study.

    Returns:
        The `study` record, the `slots` record, then the records of each trial.

    Raises:
        UserError: the database cannot be opened, or it holds no study of that name.
    """
    with _opening(url) as storage, _closing(storage):
        try:
            study = optuna.load_study(storage=storage, study_name=name)
        except KeyError as error:
            raise UserError("a study must exist in its storage", got=f"'{name}'", where=str(StorageUrl(url))) from error
        attributes = study.user_attrs
        records = [
            without_secrets(_joined(kind, attributes)) for kind in ("study", "slots") if f"{kind}:0" in attributes
        ]
        for trial in sorted(study.get_trials(deepcopy=False), key=lambda t: t.user_attrs["number"]):
            records += _joined("record", trial.user_attrs)
    return records


@contextlib.contextmanager
def _opening(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """The opened storage; every error of the database or its driver becomes one error of this package.

    Raises:
        UserError: the database cannot be opened.
        StorageLocked: another process has locked the database.
        StorageFull: the disk is full or read-only.
    """
    storage = problem = None
    try:
        storage = optuna.storages.RDBStorage(url)
    except (*STORAGE_ERRORS, ImportError, ValueError) as error:  # ValueError: the port is not a number
        problem = _busy(url) if _locked(error) else _unopened(url, error)
    if storage is None or problem is not None:
        raise problem or AssertionError  # not inside `except`: the chained error could show the password
    try:
        yield storage
    except (*STORAGE_ERRORS, ImportError) as error:
        _close(storage)
        if _locked(error):
            raise _busy(url) from None
        raise _unopened(url, error) from None


def _unopened(url: str, error: Exception) -> NasAttnError:
    if (full := storage_full(error)) is not None:
        return full
    address = StorageUrl(url)
    if isinstance(error, ImportError):
        postgres = str(address).startswith("postgres")
        remedy = f"Install its driver: {POSTGRES if postgres else 'pip install the package that the message names'}."
    else:
        remedy = (
            "Give an SQLAlchemy URL such as sqlite:///study.db or postgresql+psycopg://user@host/name. If it has a "
            f"password, put it into the environment variable {VARIABLE}."
        )
    if isinstance(error, ValueError):
        first = "its port or another number in it cannot be read"
    else:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        if not isinstance(error, ImportError):  # an ImportError knows only the scheme of the URL
            first = address.hide(first)
    rule = "the storage must be a database that can be opened"
    return UserError(rule, got=f"'{address}' ({first})", remedy=remedy)


def _busy(url: str) -> StorageLocked:
    return StorageLocked(
        "the storage must be free",
        got=f"'{StorageUrl(url)}', which another process has locked",
        remedy="Wait until that process ends, or stop it.",
    )


def _locked(error: BaseException | None) -> bool:
    """True if the error or one of its causes is SQLite's message that the database is locked."""
    while error is not None:
        if isinstance(error, sqlalchemy.exc.OperationalError) and "is locked" in str(error.orig):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def _closing(storage: optuna.storages.RDBStorage) -> Iterator[None]:
    try:
        yield
    finally:
        _close(storage)


def _close(storage: optuna.storages.RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def _pieces(prefix: str, value: Any) -> dict[str, str]:
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return {f"{prefix}:{i}": text[at : at + PIECE] for i, at in enumerate(range(0, len(text), PIECE))}


def _joined(prefix: str, attributes: dict[str, Any]) -> Any:
    text = ""
    i = 0
    while f"{prefix}:{i}" in attributes:
        text += attributes[f"{prefix}:{i}"]
        i += 1
    return json.loads(text)
