"""The Optuna storage as a mirror of the record log: one write a finished trial, complete enough to read back.

Records are cut into user attributes of under 1,000 characters, so that optuna-dashboard shows them whole.
"""

from __future__ import annotations

import json
from typing import Any

import optuna
import sqlalchemy.exc

from nas_attn.errors import UserError
from nas_attn.study.sampler import DIRECTIONS, Known, Suggester

PIECE = 900  # characters; optuna-dashboard shows up to 1,024 of an attribute, and JSON escapes may lengthen it


class Mirror:
    """An Optuna study that receives every finished trial.

    Args:
        url: SQLAlchemy URL of the storage.
        name: name of the study there.

    Raises:
        UserError: the URL names no database that can be opened.
    """

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        with _opening(url):
            self._study = optuna.create_study(storage=url, study_name=name, directions=DIRECTIONS, load_if_exists=True)
            self._numbers = {t.user_attrs.get("number") for t in self._study.get_trials(deepcopy=False)}

    def write_header(self, record: dict[str, Any]) -> None:
        """Store a study-level record (`study` or `slots`), once."""
        known = self._study.user_attrs
        for key, value in _pieces(record["kind"], record).items():
            if known.get(key) != value:
                self._study.set_user_attr(key, value)

    def write_trial(self, suggester: Suggester, number: int, known: Known, records: list[dict[str, Any]]) -> None:
        """Store a finished or refused trial with its records, in one write; once."""
        if number in self._numbers:
            return
        trial = suggester.frozen(known, outside=optuna.trial.TrialState.COMPLETE)
        trial.user_attrs = {"number": number, **_pieces("record", records)}
        self._study.add_trial(trial)
        self._numbers.add(number)


def read_mirror(url: str, name: str) -> list[dict[str, Any]]:
    """The records of a study, from its Optuna storage alone: study, slots, then each trial's.

    Raises:
        UserError: the URL names no database, or it holds no such study.
    """
    with _opening(url):
        try:
            study = optuna.load_study(storage=url, study_name=name)
        except KeyError as error:
            raise UserError("a study must exist in its storage", got=f"'{name}'", where=_shown(url)) from error
        attributes = study.user_attrs
        records = [_joined(kind, attributes) for kind in ("study", "slots") if f"{kind}:0" in attributes]
        trials = sorted(study.get_trials(deepcopy=False), key=lambda t: t.user_attrs["number"])
        for trial in trials:
            records += _joined("record", trial.user_attrs)
    return records


class _opening:
    """Turns what a storage says about a wrong URL into one message."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        remedy = "Give an SQLAlchemy URL such as sqlite:///study.db or postgresql+psycopg://user@host/name."
        if isinstance(error, ImportError):
            remedy = "Install its driver: pip install 'nas_attn[postgres]' for PostgreSQL."
        elif not isinstance(
            error, (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ValueError, RuntimeError)
        ):
            return
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            "the storage must be a database that can be opened", got=f"'{_shown(self.url)}' ({first})", remedy=remedy
        ) from error


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
