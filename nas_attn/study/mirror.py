"""The Optuna storage as a mirror of the record log: one write a finished trial, complete enough to read back.

Records are cut into user attributes of under 1,000 characters, so that optuna-dashboard shows them whole.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy.exc

from nas_attn.errors import UserError
from nas_attn.study.sampler import DIRECTIONS, Known, Suggester

PIECE = 900  # characters; optuna-dashboard shows up to 1,024 of an attribute, and JSON escapes may lengthen it
STORAGE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)


class Mirror:
    """An Optuna study that receives every finished trial.

    Args:
        url: SQLAlchemy URL of the storage.
        name: name of the study there.
        study_id: what tells this study from others of the same name.

    Raises:
        UserError: the URL names no database that can be opened, or it holds another study of that name.
    """

    def __init__(self, url: str, name: str, study_id: str) -> None:
        self.url = url
        with _opening(url) as storage:
            self._storage = storage
            self._study = _open_study(storage, name, study_id, _shown(url))
            self._headers = {k.partition(":")[0] for k in self._study.user_attrs}
            self._numbers = {t.user_attrs.get("number") for t in self._study.get_trials(deepcopy=False)}

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, *exc: object) -> None:
        _close(self._storage)

    def __contains__(self, number: int) -> bool:
        """Whether it has the trial of that number."""
        return number in self._numbers

    def write_header(self, record: dict[str, Any]) -> None:
        """Store a study-level record (`study` or `slots`), once."""
        if record["kind"] in self._headers:
            return
        for key, value in _pieces(record["kind"], record).items():
            self._study.set_user_attr(key, value)
        self._headers.add(record["kind"])

    def write_trial(self, suggester: Suggester, number: int, known: Known, records: list[dict[str, Any]]) -> None:
        """Store a finished or refused trial with its records, in one write; once."""
        if number in self._numbers:
            return
        trial = suggester.frozen(known, outside=optuna.trial.TrialState.COMPLETE)
        trial.user_attrs = {"number": number, **_pieces("record", records)}
        self._study.add_trial(trial)
        self._numbers.add(number)


def check_storage(url: str) -> None:
    """See that a storage can be opened, and leave it as it is.

    Raises:
        UserError: the URL names no database that can be opened.
    """
    with _opening(url) as storage, _closing(storage):
        storage.get_all_studies()


def _open_study(storage: optuna.storages.RDBStorage, name: str, study_id: str, where: str) -> optuna.Study:
    """The Optuna study of that name if it is ours, or a new one."""
    study = optuna.create_study(storage=storage, study_name=name, directions=DIRECTIONS, load_if_exists=True)
    header = _joined("study", study.user_attrs) if "study:0" in study.user_attrs else None
    foreign = header is None and len(study.get_trials(deepcopy=False)) > 0
    if tuple(study.directions) != DIRECTIONS or foreign or (header is not None and header.get("id", "") != study_id):
        raise UserError(
            "a storage must not hold another study of the same name",
            got=f"'{name}'",
            where=where,
            remedy="Search under another name or in another --storage, or delete the old study with "
            "`optuna delete-study`.",
        )
    return study


def read_mirror(url: str, name: str) -> list[dict[str, Any]]:
    """The records of a study, from its Optuna storage alone: study, slots, then each trial's.

    Raises:
        UserError: the URL names no database, or it holds no such study.
    """
    with _opening(url) as storage, _closing(storage):
        try:
            study = optuna.load_study(storage=storage, study_name=name)
        except KeyError as error:
            raise UserError("a study must exist in its storage", got=f"'{name}'", where=_shown(url)) from error
        attributes = study.user_attrs
        records = [_joined(kind, attributes) for kind in ("study", "slots") if f"{kind}:0" in attributes]
        for trial in sorted(study.get_trials(deepcopy=False), key=lambda t: t.user_attrs["number"]):
            records += _joined("record", trial.user_attrs)
    return records


@contextlib.contextmanager
def _opening(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """The storage behind a URL; what it says about a wrong one becomes one message.

    Raises:
        UserError: the URL names no database that can be opened.
    """
    storage = None
    try:
        storage = optuna.storages.RDBStorage(url)
        yield storage
    except (*STORAGE_ERRORS, ImportError) as error:
        if storage is not None:
            _close(storage)
        remedy = (
            "Install its driver: pip install 'nas_attn[postgres]' for PostgreSQL."
            if isinstance(error, ImportError)
            else "Give an SQLAlchemy URL such as sqlite:///study.db or postgresql+psycopg://user@host/name."
        )
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            "the storage must be a database that can be opened", got=f"'{_shown(url)}' ({first})", remedy=remedy
        ) from error


@contextlib.contextmanager
def _closing(storage: optuna.storages.RDBStorage) -> Iterator[None]:
    try:
        yield
    finally:
        _close(storage)


def _close(storage: optuna.storages.RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


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
