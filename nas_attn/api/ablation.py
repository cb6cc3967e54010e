"""An ablation as a Python value, and the function that runs one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.ablation.design import FAMILIES
from nas_attn.ablation.report.rows import ComparisonRow
from nas_attn.ablation.report.tables import TitledTable, ablation_tables
from nas_attn.ablation.report.words import PARTIAL, summary
from nas_attn.ablation.view import AblationView
from nas_attn.api.keywords import with_keywords
from nas_attn.api.listing import Listing, as_html, as_text
from nas_attn.api.options import AblationOptions
from nas_attn.api.study import Study
from nas_attn.errors import UnknownName
from nas_attn.space import Architecture
from nas_attn.statistics.paired import MIN_PAIRS
from nas_attn.study import RUNS
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.trial import Candidate

if TYPE_CHECKING:
    from typing import Unpack

    import pandas
    from plotly.graph_objects import Figure

    from nas_attn.ablation.plan.settings import Request
    from nas_attn.ablation.run import AblationObserver
    from nas_attn.engine import Engine
    from nas_attn.evaluate import Evaluator

WIDE = ("inserted", "remarks", "params (M)", "d")  # columns that a terminal has no room for
REUSED = (
    "the search or another ablation has used these seeds before; the seeds that chose an architecture are no "
    "independent evidence for it"
)
TOO_FEW = f"with fewer than {MIN_PAIRS} seeds nothing can be tested: the table will have no p-values"


@dataclass(frozen=True, repr=False)
class Ablation:
    """An ablation as of the moment when it was read.

    Attributes:
        view: the records behind it.
    """

    view: AblationView

    @property
    def name(self) -> str:
        """Its name within the study."""
        return self.view.name

    @property
    def folder(self) -> Path:
        """Its folder: the records, and the tables as Markdown, LaTeX and CSV."""
        return self.view.folder

    @property
    def partial(self) -> bool:
        """True until everything that was planned is trained."""
        return self.view.partial

    @property
    def files(self) -> list[Path]:
        """The files of its tables."""
        from nas_attn.ablation.report.files import table_files

        return table_files(self.folder)

    def table(self, family: str = "base") -> Listing[ComparisonRow]:
        """One table: each arm, its difference at equal seeds, the corrected p-value, the verdict.

        Args:
            family: `base` (arms against the base), or another of `families()`.

        Raises:
            UserError: the ablation has no such table.
        """
        tables = {t.family: t for t in ablation_tables(self.view)}
        if family not in tables:
            raise UnknownName("table", family, tables, where=f"ablation '{self.name}'")
        return _listing(tables[family], [r for r in self._records() if r["family"] == family])

    def tables(self) -> list[Listing[ComparisonRow]]:
        """All tables: against the base, then the other comparisons."""
        return [self.table(family) for family in self.families()]

    def families(self) -> dict[str, str]:
        """The tables that it has, with their titles."""
        found = {t.family for t in ablation_tables(self.view)}
        return {family: title for family, title in FAMILIES.items() if family in found}

    def summary(self) -> str:
        """The result of the table against the base, in a sentence."""
        return summary(self.view)

    def frame(self) -> pandas.DataFrame:
        """Every figure of all tables at full precision: one row a comparison, as in `ablation.csv`."""
        import pandas as pd

        return pd.DataFrame(self._records())

    def plot(self, family: str = "base") -> Figure:
        """The forest plot: each difference with its interval."""
        from nas_attn.ablation.report.forest_figure import forest_figure, forest_numbers

        return forest_figure(forest_numbers(self.view, family))

    def write(self, folder: str | Path) -> list[Path]:
        """Write the tables as Markdown, LaTeX and CSV into a folder; returns the files."""
        from nas_attn.ablation.report.files import write_tables

        return write_tables(self.view, Path(folder))

    def as_dict(self) -> dict[str, Any]:
        """The ablation as one JSON-ready object."""
        return {
            "ablation": self.name,
            "folder": str(self.folder),
            "full": self.view.header["ablation"]["full"],
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


@with_keywords(AblationOptions)
def ablate(
    study: Study | str | Path | None = None,
    *,
    name: str | None = None,
    runs: str | Path | None = None,
    progress: bool = True,
    observer: AblationObserver | None = None,
    evaluator: Evaluator | None = None,
    engine: Engine | None = None,
    **options: Unpack[AblationOptions],
) -> Ablation:
    """Take an architecture apart with fresh paired seeds, and tell which differences survive correction.

    Call it again to continue. It is `python -m nas_attn ablate` as a function.

    Args:
        study: a study, its name, or the path of a study YAML; None with `base=` and `data=`.
        name: name of the ablation within the study. [ablation]
        runs: folder of the run folders. [the study's, or `runs`]
        progress: show a line for each trial, and a bar.
        observer: hears what happens, in place of the lines and the bar.
        evaluator: scores architectures in place of proxy runs; it must be the study's.
        engine: runs the trials, in place of worker processes on this machine.
        options: fields of `AblationConfig`, e.g. `seeds=5, pick="knee"`; without a study also fields of `StudyConfig`.

    Raises:
        UserError: something in the input breaks a rule; nothing was trained.
    """
    from nas_attn.ablation.run import run_ablation
    from nas_attn.api.ablation_progress import AblationReporter
    from nas_attn.api.progress import shown
    from nas_attn.study.observer import Silent

    request = ablation_request(study, dict(options), runs=runs, name=name)
    with shown(observer, AblationReporter if progress else Silent) as heard:
        if not request.fresh:
            heard.note(f"warning: {REUSED}")
        if request.settings.seeds < MIN_PAIRS and not request.settings.sequential:
            heard.note(f"warning: {TOO_FEW}")
        return Ablation(run_ablation(request, observer=heard, evaluator=evaluator, engine=engine))


def ablation_request(
    study: Study | str | Path | None,
    options: Mapping[str, Any],
    *,
    runs: str | Path | None = None,
    name: str | None = None,
) -> Request:
    """The request that the arguments of `ablate` make; nothing is read but records.

    Raises:
        UserError: there is nothing to ablate, or options contradict one another.
    """
    from nas_attn.ablation.plan.settings import load_request
    from nas_attn.environment import prepare

    prepare()
    folder = Path(runs) if runs is not None else study.folder.parent if isinstance(study, Study) else RUNS
    which = study.folder.name if isinstance(study, Study) else None if study is None else str(study)
    own = {k: _plain(k, v) for k, v in options.items() if k in AblationConfig.model_fields}
    rest = {k: v for k, v in options.items() if k not in own}
    return load_request(which, own, rest, runs=folder, name=name)


def _plain(name: str, value: Any) -> Any:
    """A value as a study file writes it: architectures and candidates as text, names in one text as a list."""
    if name in ("kinds", "scales") and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        return [_plain("", v) for v in value]
    return value.key if isinstance(value, Candidate) else str(value) if isinstance(value, Architecture) else value


def _listing(found: TitledTable, records: list[dict[str, Any]]) -> Listing[ComparisonRow]:
    narrow = {name: name for name in found.table.columns if name not in WIDE}
    title = f"{found.title} ({PARTIAL})" if found.partial else found.title
    return Listing(found.rows, records, found.table, title=title, narrow=narrow, note=found.method)
