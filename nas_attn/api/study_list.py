"""`studies`: the studies in a folder of run folders, with their state and the best that they found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_attn.analysis.tables import EMPTY, Table
from nas_attn.api.listing import Listing
from nas_attn.api.study import Study
from nas_attn.errors import RecordLost, UserError
from nas_attn.evaluate.score import MAP, Score
from nas_attn.study import RUNS, read_study
from nas_attn.study.folder import RunFolder, is_held
from nas_attn.study.records import LOG_NAME
from nas_attn.study.view import StudyView

TITLES = {"study": "study", "state": "state", "trials": "trials", "base model": "base model", "architecture": "best"}
COLUMNS = (*TITLES, "Δ to base", "95 % interval")
OPTIONAL = ("95 % interval", "base model")


def studies(runs: str | Path = RUNS, *, score: str | None = None) -> Listing[Study]:
    """The studies in a folder, the one with the newest record first.

    Args:
        runs: the folder of all run folders.
        score: read all studies by this score; a study whose runs did not record it has no best. None: each by its own.

    Raises:
        UnknownName: there is no such score.
    """
    if score is not None:
        Score.parse(score)
    found: list[Study] = []
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, Any]] = []
    logs = sorted(Path(runs).glob(f"*/{LOG_NAME}"), key=lambda log: log.stat().st_mtime, reverse=True)
    for log in logs:
        try:
            study = Study(read_study(log.parent))
        except (UserError, RecordLost) as error:  # an ablation without a study, or a damaged log
            rows.append((log.parent.name, str(error).partition(":")[0], *[EMPTY] * (len(COLUMNS) - 1)))
            records.append({"study": log.parent.name, "state": None})
            continue
        try:
            study = Study(study.view.read_by(score))
        except UserError:  # its runs did not record the score, or its data has no such class
            rows.append((*_begun(study), f"has no {Score(score or '').words}", EMPTY, EMPTY, EMPTY))
            records.append({"study": log.parent.name, "state": state(study.view), "trials": len(study.trials)})
            continue
        found.append(study)
        rows.append(_row(study))
        told = {"study": log.parent.name, "state": state(study.view), "trials": len(study.trials)}
        records.append({**told, "score": study.score, "not_searched_for": bool(study.view.caution)})
    plain = score is None and all(s.view.score == MAP for s in found)  # then the column says nothing
    columns = COLUMNS if plain else (*COLUMNS, "score")
    table = Table(columns, tuple(row[: len(columns)] for row in rows), (None,) * len(rows))
    note = "" if rows else f"There is no study in '{runs}'."
    narrow = {name: TITLES.get(name, name) for name in columns}
    return Listing(found, records, table, title=f"studies in {runs}", narrow=narrow, optional=OPTIONAL, note=note)


def state(view: StudyView) -> str:
    """The state of a study: `running`, `done`, or `stopped` before its last trial."""
    if is_held(RunFolder(view.folder)):
        return "running"
    return "done" if view.counted >= view.target else "stopped"


def _begun(study: Study) -> tuple[str, str, str, str]:
    """The cells of a study that do not depend on its score."""
    view = study.view
    return (
        view.folder.name,  # not the name in the records: a copied folder is another study
        state(view),
        f"{view.counted}/{max(view.counted, view.target)}",
        study.base,
    )


def _row(study: Study) -> tuple[str, ...]:
    best = next((p for p in study.picks() if p.rule == "best"), None)
    judged = best is not None and best.difference is not None and not best.candidate.architecture.is_base
    difference = best.difference if best is not None and judged else None
    return (
        *_begun(study),
        best.candidate.key if best is not None else EMPTY,
        f"{difference.mean:+.4f}" if difference else EMPTY,
        f"{difference.low:+.4f} to {difference.high:+.4f}" if difference else EMPTY,
        study.view.score.words + (", not searched for" if study.view.caution else ""),
    )
