"""The plan of a study: all inputs of a search, checked. Nothing is trained yet."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.attention import layers, user
from nas_attn.attention.source import Source
from nas_attn.cost import CostTable
from nas_attn.engine import LocalEngine
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import NONE, Architecture, Gene, SearchSpace
from nas_attn.study.config import StudyConfig


@dataclass(frozen=True)
class Plan:
    """Everything that a search needs.

    Attributes:
        config: the configuration.
        space: the search space, with all its slots, live or dead.
        table: cost of every gene at every slot.
        evaluator: trains and scores an architecture.
        fidelity: epochs, image size and data fraction of every trial.
        devices: one entry per worker.
        threads: CPU threads of each worker.
        header: the `study` record of the log.
    """

    config: StudyConfig
    space: SearchSpace
    table: CostTable
    evaluator: ProxyEvaluator | Any
    fidelity: Fidelity
    devices: tuple[str, ...]
    threads: int
    header: dict[str, Any]

    @property
    def sources(self) -> list[Source]:
        """The user's files that define a searched module, or a layer of the base."""
        prints = self.header["fingerprints"]
        modules, digests = set(prints["modules"]), set(prints.get("layers", {}).values())
        held = (file.source for file in layers.files() if file.source.digest in digests)
        return [*(s for s in user.sources() if modules & set(s.names)), *dict.fromkeys(held)]

    @property
    def residual(self) -> str:
        """The `residual` of the `conv` control: `scaled` if every gene of the study needs it, else `none`."""
        return "scaled" if self.config.start == "base" else "none"

    def first(self, searched: Collection[str], tell: Callable[[str], None]) -> list[Architecture]:
        """The architectures that the user wants to be trained first.

        Args:
            searched: the slots that are searched; an architecture with a module elsewhere is left out.
            tell: takes a sentence on each that is left out.

        Raises:
            UserError: the space does not have one of them.
        """
        found = []
        for text in self.config.first:
            architecture = self.space.canonical(Architecture.parse(text))
            if outside := [s for s, gene in architecture if gene != NONE and s not in searched]:
                tell(f"`--try` {architecture}: left out, because {', '.join(outside)} is not searched.")
            else:
                found.append(architecture)
        return found

    def engine(self, logs: Path) -> LocalEngine:
        """The worker processes of this machine.

        Args:
            logs: folder for their output.
        """
        load = self.evaluator.load if isinstance(self.evaluator, ProxyEvaluator) else None
        return LocalEngine(self.devices, threads=self.threads, logs=logs, load=load)

    def cost(self, architecture: Architecture) -> dict[str, float]:
        """The cost of an architecture's final model: `gmacs`, `gmacs_fvcore_default`, `gflops_torch`, `params_m`."""
        return self.table.cost(architecture).as_dict()

    def params(self, slot: str, gene: Gene) -> int:
        """The number of parameters that a gene adds at a slot."""
        return self.table.cell(slot, gene).params
