"""The plan of a study: every input checked and resolved, nothing trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas_attn.cost import CostTable
from nas_attn.evaluate import Fidelity
from nas_attn.space import Architecture, Gene, SearchSpace
from nas_attn.study.config import StudyConfig

if TYPE_CHECKING:
    from nas_attn.evaluate.proxy import ProxyEvaluator


@dataclass(frozen=True)
class Plan:
    """Everything that a search needs.

    Attributes:
        config: the configuration.
        space: the configured search space, all slots.
        table: cost of every gene at every slot.
        evaluator: trains and scores an architecture.
        fidelity: epochs, image size, data fraction of every trial.
        devices: one entry a worker.
        threads: CPU threads of each worker.
        header: the `study` record.
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
    def residual(self) -> str:
        """The form in which the `conv` control stands: the one that every gene has, or plain."""
        return "scaled" if self.config.start == "base" else "none"

    def cost(self, architecture: Architecture) -> dict[str, float]:
        """`gmacs`, `gmacs_fvcore_default`, `gflops_torch`, `params_m` of the final model."""
        return self.table.cost(architecture).as_dict()

    def params(self, slot: str, gene: Gene) -> int:
        """Parameters that a gene adds at a slot."""
        return self.table.cell(slot, gene).params
