"""`Study`: the results of a search as a Python value, with methods that list, pick, draw, build and write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.api.listing import Listing, as_html, as_text
from nas_attn.errors import UserError
from nas_attn.space import Architecture
from nas_attn.study.trial import Candidate, Trial
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    import pandas
    from plotly.graph_objects import Figure
    from ultralytics import YOLO

    from nas_attn.analysis.difference import Difference
    from nas_attn.analysis.effects.estimate import Cell
    from nas_attn.analysis.front import Picked
    from nas_attn.analysis.noise import Noise
    from nas_attn.api.ablation import Ablation
    from nas_attn.api.effects import Effects
    from nas_attn.api.slot_liveness import SlotLiveness
    from nas_attn.bundle.winner import Winner

Pick = str | Candidate | Architecture


@dataclass(frozen=True, repr=False)
class Study:
    """The study in a run folder, at the time when it was read. `load_study` reads the present state.

    The argument `pick` of a method names a candidate: `best`, `knee` or `simplest`, `trial:N` for the architecture of
    that trial, an architecture as text or as a value, or a `Candidate`. These methods raise `UserError` if the study
    has no such candidate, and `StudyChanged` if its base model has changed since the search.

    Attributes:
        view: the content of the record log.
    """

    view: StudyView

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.view.name

    @property
    def folder(self) -> Path:
        """The run folder of the study."""
        return self.view.folder

    @property
    def score(self) -> str:
        """The score by which the study is read: `map50_95`, `map50`, `recall` or `class:NAME`."""
        return self.view.score.name

    @property
    def base(self) -> str:
        """The name of the base model."""
        return str(self.view.header["base"])

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order of their numbers, running, failed and refused ones included."""
        return self.view.trials

    def trial(self, number: int) -> Trial:
        """The trial with this number.

        Raises:
            UserError: there is no such trial.
        """
        return self.view.trial(number)

    def candidates(self) -> list[Candidate]:
        """The candidates: all architectures with a trial that was not refused, in the order of their first trial."""
        return self.view.candidates()

    def front(self) -> Listing[Candidate]:
        """The Pareto front: the trained candidates that no other dominates in (estimated score, GMACs).

        They are in the order of cost. The table also shows the controls, and verdicts that hold for all candidates.
        """
        from nas_attn.api.study_tables import front_listing

        return front_listing(self.view)

    def picks(self) -> Listing[Picked]:
        """The picks `best`, `knee` and `simplest`, each with the probability that it is right.

        `best` has the highest estimate of all trained candidates, `knee` is the knee of the front, and `simplest` is
        the cheapest candidate within one standard error of the best.
        """
        from nas_attn.api.study_tables import picks_listing

        return picks_listing(self.view)

    def answer(self) -> str:
        """The answer of the study in a few sentences: was anything better than the base?"""
        from nas_attn.analysis.answer import answer

        return answer(self.view)

    def modules(self) -> Listing[Cell]:
        """Each module that was searched: how often it was tried, its effect over all slots, and its verdict."""
        from nas_attn.api.study_tables import modules_listing

        return modules_listing(self.view)

    def difference(self, architecture: Architecture | str) -> Difference:
        """The difference of any architecture of the search space to the base in the score, trained or not.

        Slots that are left out are empty, and settings that are left out have their defaults. The interval of an
        untrained architecture is wide: it is known only from its modules elsewhere.

        Raises:
            UserError: the study has too few trials, or its space does not have the architecture.
        """
        from nas_attn.analysis.posterior import obstacle, posterior

        found = posterior(self.view)
        if found is None:
            raise UserError("a study must have results before it can judge", got=obstacle(self.view) or "")
        return found.difference(self._whole(architecture))

    def pick(self, spec: Pick = "knee", *, max_gmacs: float | None = None, attention: bool = False) -> Candidate:
        """One candidate of the study.

        Args:
            spec: `best` (highest estimated score), `knee` of the front (beyond it, more cost gains little),
                `simplest` (the cheapest within one standard error of the best), `trial:N`, an architecture, or
                a `Candidate`. Slots that are left out are empty, and settings that are left out have their defaults.
            max_gmacs: leave out candidates with more GMACs (1e9 multiply-accumulates).
            attention: take `best`, `knee` and `simplest` among candidates with attention. Otherwise they may be the
                base or the plain convolution, if no attention is better.

        Raises:
            UserError: the study has no such candidate.
        """
        from nas_attn.analysis.front import pick

        if isinstance(spec, Candidate):
            spec = spec.architecture  # one of another study may have other scores
        if isinstance(spec, str) and "=" not in spec:
            return pick(self.view, spec, max_gmacs, attention=attention).candidate
        wanted = self._whole(spec)
        found = next((c for c in self.candidates() if c.architecture == wanted), None)
        if found is None or (max_gmacs is not None and found.gmacs > max_gmacs):
            raise UserError(
                "a picked architecture must be a candidate of the study",
                got=f"'{wanted}'",
                where=f"study '{self.name}'",
                remedy="`candidates()` lists them; `cost_of` and `ablate` take any architecture.",
            )
        return found

    def slots(self) -> Listing[SlotLiveness]:
        """The score that each slot is worth to the trained base; empty before it is measured."""
        from nas_attn.api.slot_liveness import slot_liveness

        return slot_liveness(self.view)

    def noise(self) -> Noise | None:
        """The noise of runs and seeds in the score; None before two architectures have usable trials."""
        from nas_attn.analysis.noise import noise

        return noise(self.view)

    def effects(self) -> Effects:
        """The difference in the score that each module makes at each slot, by the posterior of the study."""
        from nas_attn.analysis.effects.estimate import effect_numbers
        from nas_attn.api.effects import Effects

        return Effects(effect_numbers(self.view))

    def plot(self) -> Figure:
        """The Pareto plot of the dashboard: the score against GMACs."""
        from nas_attn.analysis.figures import pareto_figure, pareto_numbers

        return pareto_figure(pareto_numbers(self.view))

    def frame(self) -> pandas.DataFrame:
        """The trials as a data frame: one row per trial, units in the column names; see
        `nas_attn.study.frame.frame` for the columns.
        """
        return self.view.frame()

    def yaml(self, pick: Pick = "knee") -> str:
        """The text of a candidate's model YAML, which Ultralytics builds and trains."""
        return self._winner(pick).yaml()

    def export(self, pick: Pick, path: str | Path, *, force: bool = False) -> Path:
        """Write the model YAML of a candidate.

        Args:
            pick: the candidate.
            path: the file; its suffix is .yaml or .yml.
            force: overwrite an existing file.

        Returns:
            The path of the file.

        Raises:
            UserError: the file exists and `force` is false, its suffix is wrong, it cannot be written, or its name
                would make Ultralytics build another scale.
        """
        return self._winner(pick).write(Path(path), force=force)

    def model(self, pick: Pick = "knee", *, weights: str | Path | None = None, seed: int = 0) -> YOLO:
        """A candidate as a model of Ultralytics, ready for `.train(data=...)`: (N, 3, H, W) -> predictions.

        Args:
            pick: the candidate.
            weights: checkpoint of the base or of this model: a file, or a name that Ultralytics knows, e.g. yolo11n.pt.
                Each tensor that fits goes to its layer, in spite of the inserted modules. None for initial weights.
            seed: decides the initial weights of the tensors that `weights` does not fill.

        Raises:
            DownloadFailed: the checkpoint is not here and could not be downloaded.
            UserError: `weights` belongs to another model.
        """
        return self._winner(pick).model(Path(weights) if weights is not None else None, seed)

    def bundle(
        self,
        pick: Pick,
        folder: str | Path,
        *,
        weights: str | Path | None = None,
        seed: int = 0,
        onnx: bool = True,
        force: bool = False,
    ) -> dict[str, Any]:
        """Write a candidate as a bundle: a folder with its YAML, base YAML, ONNX files, weights and card.

        Args:
            pick: the candidate.
            folder: the folder of the bundle; it must be new or empty.
            weights: checkpoint of a finished training of the exported YAML; None for initial weights.
            seed: decides the initial weights, if `weights` is None.
            onnx: also make ONNX files, and check them against torch.
            force: replace an old bundle in the folder.

        Returns:
            The card of the bundle, a JSON-ready dictionary.

        Raises:
            MissingPart: `onnx` or `onnxruntime` is not installed.
            UserError: the folder is not empty, or the weights belong to another model.
            CheckFailed: the results of an ONNX file differ from torch's.
        """
        from dataclasses import replace

        from nas_attn.bundle.write import write_bundle

        winner = replace(self._winner(pick), weights=Path(weights) if weights is not None else None, seed=seed)
        return write_bundle(Path(folder), winner, onnx=onnx, force=force)

    def report(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the study and its ablations as one HTML file that opens offline.

        Args:
            path: the file. An older `.html` file is replaced.
            force: replace a file with another suffix too.

        Returns:
            The path of the file.

        Raises:
            UserError: the file cannot be written, or it exists and is no `.html` file.
        """
        from nas_attn.bundle.winner import yaml_maker
        from nas_attn.dashboard.report import check_report, write_report

        check_report(Path(path), force, "path")
        write_report(self.view, Path(path), yaml_maker(self.view))
        return Path(path)

    def ablations(self) -> list[Ablation]:
        """The ablations in the run folder, the oldest first."""
        from nas_attn.ablation.view import load_ablations
        from nas_attn.api.ablation import Ablation

        return [Ablation(view) for view in load_ablations(self.folder)]

    def as_dict(self) -> dict[str, Any]:
        """The study as a JSON-ready dictionary; see `nas_attn.api.study_dict.study_dict` for its keys."""
        from nas_attn.api.study_dict import study_dict

        return study_dict(self.view, self.answer(), self.front().records, self.picks().records, self.effects())

    def _whole(self, architecture: Architecture | str) -> Architecture:
        """The architecture with all slots of the study and all settings."""
        from nas_attn.space import NONE
        from nas_attn.space.written import with_defaults

        given = Architecture.parse(architecture) if isinstance(architecture, str) else architecture
        candidates = self.candidates()
        if any(c.architecture == given for c in candidates):
            return given
        slots = dict.fromkeys([s for c in candidates[:1] for s in c.architecture.slots] + list(given.slots))
        return Architecture.of({s: with_defaults(given[s]) if s in given.slots else NONE for s in slots})

    def _winner(self, pick: Pick) -> Winner:
        from nas_attn.bundle.winner import winner_of_candidate

        return winner_of_candidate(self.view, self.pick(pick))

    def _title(self) -> str:
        ended = sum(t.state in ("complete", "stopped", "failed") and not t.origin for t in self.trials)
        return f"study {self.name}: {self.base}, {ended} of {self.view.target} trials, files in {self.folder}"

    def __hash__(self) -> int:
        return hash((self.folder, self.score, len(self.trials)))

    def __repr__(self) -> str:
        from nas_attn.analysis.front import sentence

        front = self.front()
        picks = "\n".join(sentence(p) for p in self.picks())
        return as_text(self._title(), self.answer(), front, f"{picks}\n{front.note}" if picks else front.note)

    def _repr_html_(self) -> str:
        front = self.front()
        return as_html(self._title(), front.table, front.note)
