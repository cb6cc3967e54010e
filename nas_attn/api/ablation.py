"""`Ablation`: the results of an ablation, as a Python value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.ablation.design import FAMILIES
from nas_attn.ablation.report.rows import ComparisonRow
from nas_attn.ablation.report.tables import TitledTable, ablation_tables
from nas_attn.ablation.report.words import PARTIAL, summary
from nas_attn.ablation.view import AblationView
from nas_attn.api.listing import Listing, as_html, as_text
from nas_attn.errors import UnknownName

if TYPE_CHECKING:
    import pandas
    from plotly.graph_objects import Figure


WIDE = ("inserted", "remarks", "params (M)", "d")  # columns that are too wide for a terminal


@dataclass(frozen=True, repr=False)
class Ablation:
    """The results of an ablation at the time when it was read. Its tables show in a terminal and in a notebook.

    Attributes:
        view: the content of its record log.
    """

    view: AblationView

    @property
    def name(self) -> str:
        """The name of the ablation within the study."""
        return self.view.name

    @property
    def folder(self) -> Path:
        """The folder with the records, and the tables as Markdown, LaTeX and CSV."""
        return self.view.folder

    @property
    def partial(self) -> bool:
        """True until all planned trials are trained."""
        return self.view.partial

    @property
    def files(self) -> list[Path]:
        """The paths of the table files in `folder`."""
        from nas_attn.ablation.report.files import table_files

        return table_files(self.folder)

    def table(self, family: str = "base") -> Listing[ComparisonRow]:
        """One table: a row per base and comparison, with difference in the score at equal seeds, p-value, verdict.

        The p-values are corrected for all comparisons of the table and for all looks.

        Args:
            family: `base` (each arm against the base), or another key of `families()`.

        Raises:
            UserError: the ablation has no such table.
        """
        tables = {t.family: t for t in ablation_tables(self.view)}
        if family not in tables:
            raise UnknownName("table", family, tables, where=f"ablation '{self.name}'")
        return _listing(tables[family], [r for r in self._records() if r["family"] == family])

    def tables(self) -> list[Listing[ComparisonRow]]:
        """All tables: the comparisons with the base first, then the other families."""
        return [self.table(family) for family in self.families()]

    def families(self) -> dict[str, str]:
        """Key of each table -> its title."""
        found = {t.family for t in ablation_tables(self.view)}
        return {family: title for family, title in FAMILIES.items() if family in found}

    def summary(self) -> str:
        """A sentence on the results of the table against the base."""
        return summary(self.view)

    def frame(self) -> pandas.DataFrame:
        """All figures of all tables at full precision, as in `ablation.csv`: one row per base and comparison."""
        import pandas as pd

        return pd.DataFrame(self._records())

    def plot(self, family: str = "base") -> Figure:
        """The forest plot of one table: each difference in the score with its interval; `family` as for `table`."""
        from nas_attn.ablation.report.forest_figure import forest_figure, forest_numbers

        if family not in self.families():
            raise UnknownName("table", family, self.families(), where=f"ablation '{self.name}'")
        return forest_figure(forest_numbers(self.view, family))

    def write(self, folder: str | Path) -> list[Path]:
        """Write the tables as Markdown, LaTeX and CSV.

        Args:
            folder: the folder for the files; it is made if it is missing.

        Returns:
            The paths of the files.

        Raises:
            UserError: the folder cannot be written to.
        """
        from nas_attn.ablation.report.files import write_tables

        return write_tables(self.view, Path(folder))

    def as_dict(self) -> dict[str, Any]:
        """The ablation as a JSON-ready dictionary; `rows` holds the figures of all tables."""
        return {
            "ablation": self.name,
            "folder": str(self.folder),
            "full": self.view.header["ablation"]["full"],
            "score": self.view.score.name,
            "partial": self.partial,
            "summary": self.summary(),
            "rows": self._records(),
        }

    def _records(self) -> list[dict[str, Any]]:
        from nas_attn.ablation.report.files import figures

        return figures(self.view)

    def __repr__(self) -> str:
        return as_text(*(part for t in self.tables() for part in (t, t.note)), self.summary())

    def _repr_html_(self) -> str:
        return "".join(as_html(t.title, t.table, t.note) for t in self.tables()) + as_html("", None, self.summary())


def _listing(found: TitledTable, records: list[dict[str, Any]]) -> Listing[ComparisonRow]:
    narrow = {name: name for name in found.table.columns if name not in WIDE}
    title = f"{found.title} ({PARTIAL})" if found.partial else found.title
    return Listing(found.rows, records, found.table, title=title, narrow=narrow, note=found.method)
