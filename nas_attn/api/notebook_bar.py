"""The progress bar of a notebook: one line of HTML that is replaced at each change. It needs no widgets."""

from __future__ import annotations

from html import escape
from typing import Any


class NotebookBar:
    """One line with a bar, shown at `start` and replaced at each change."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {"description": "", "total": None, "completed": 0, "eta": "", "best": ""}
        self._shown: Any = None

    def start(self) -> None:
        """Show the line."""
        import IPython.display as notebook

        show: Any = notebook.display  # IPython has no type annotations
        self._shown = show(self, display_id=True)

    def stop(self) -> None:
        """Remove the bar. The lines above it stay, and so does the best candidate."""
        if self._shown is not None:
            self._fields = {**self._fields, "total": None, "description": "", "eta": ""}
            self._shown.update(self)

    def update(self, **fields: Any) -> None:
        """Change `description`, `total`, `completed`, `eta` or `best`."""
        self._fields |= fields
        if self._shown is not None:
            self._shown.update(self)

    def _repr_html_(self) -> str:
        f = self._fields
        words = [str(f[name]) for name in ("eta", "best") if f[name]]
        count = []
        if f["total"]:
            count = [f'<progress max="{f["total"]}" value="{f["completed"]}"></progress>']
            words.insert(0, f"{f['completed']} of {f['total']}")
        return f"<div>{' '.join([escape(f['description']), *count, *map(escape, words)])}</div>"

    def __repr__(self) -> str:
        f = self._fields
        total = f"{f['completed']} of {f['total']}" if f["total"] else ""
        return " ".join(str(part) for part in (f["description"], total, f["eta"], f["best"]) if part)
