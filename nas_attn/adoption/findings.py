"""The findings of an adoption: repairs and suspicions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Repair:
    """A certain mistake or gap in a file, which is repaired.

    Attributes:
        row: number of the row in the file; None for a top-level key.
        what: the module of the row, or the key.
        was: the text in the file.
        now: the repaired text.
        why: the proof that it was a mistake.
    """

    row: int | None
    what: str
    was: str
    now: str
    why: str

    def __str__(self) -> str:
        place = self.what if self.row is None else f"row {self.row} ({self.what})"
        return f"{place}: was {self.was}, is now {self.now}: {self.why}"


@dataclass(frozen=True)
class Suspicion:
    """A row or key that looks like a mistake, but may be intended.

    Attributes:
        row: number of the row in the file; None for a top-level key.
        kind: `join`, `head`, `bypass`, `unread`, `comment`, `nc`, `scale`, `arguments`, `name`, `place`, `key` or
            `base`.
        text: the suspicion in words.
    """

    row: int | None
    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class Findings:
    """Repairs and suspicions, in the order in which they were found."""

    repairs: list[Repair] = field(default_factory=list)
    suspicions: list[Suspicion] = field(default_factory=list)

    def repair(self, row: int | None, what: str, was: object, now: object, why: str) -> None:
        self.repairs.append(Repair(row, what, str(was), str(now), why))

    def suspect(self, row: int | None, kind: str, text: str) -> None:
        self.suspicions.append(Suspicion(row, kind, text))

    def as_dict(self) -> dict[str, list[dict[str, Any]]]:
        """The findings as a JSON-ready dictionary."""
        return {"repairs": [asdict(r) for r in self.repairs], "suspicions": [asdict(s) for s in self.suspicions]}
