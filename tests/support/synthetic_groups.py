"""The synthetic evaluator with runs of several architectures, whose loss tells of the truth as much as asked."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.synthetic import BASE, LEARNS, SyntheticEvaluator
from nas_attn.space import NONE, Architecture


@dataclass(frozen=True)
class SyntheticGroups(SyntheticEvaluator):
    """Adds `together`.

    Attributes:
        tells: correlation of what the loss of a group tells with the truth.
        group_noise: standard deviation of the noise of this, mAP50-95.
        lost: architectures (as text) that fail in a group, though not alone.
        calls: receives the architectures of each group.
    """

    tells: float = 0.95
    group_noise: float = 0.005
    lost: tuple[str, ...] = ()
    calls: list[tuple[str, ...]] = field(default_factory=list, compare=False, repr=False)

    def together(
        self,
        architectures: Sequence[Architecture],
        fidelity: Fidelity,
        seed: int,
        *,
        share: str = "trunk",
        checkpoint: Path | None = None,
        stop_above: Sequence[Mapping[int, float]] = (),
    ) -> list[Evaluation | EvaluationFailed]:
        """One evaluation for each architecture; its loss falls with a mixture of the truth and of another effect."""
        self.calls.append(tuple(map(str, architectures)))
        level = self._draw("level", seed) * self.group_noise
        return [self._member(a, fidelity, seed, len(architectures), level) for a in architectures]

    def _member(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, size: int, level: float
    ) -> Evaluation | EvaluationFailed:
        if str(architecture) in self.lost:
            return EvaluationFailed("lost in a group")
        filled = [(slot, gene) for slot, gene in architecture if gene != NONE]
        other = sum(self._draw("other", slot, gene) * self.effect_sd for slot, gene in filled)
        own = self.tells * (self.truth(architecture) - BASE) + (1 - self.tells**2) ** 0.5 * other
        seen = own + level + self._draw("group noise", architecture, seed) * self.group_noise
        rows = [
            {"epoch": e, "loss": 4.0 - 2.0 * e / fidelity.epochs - LEARNS * seen, "lr": 1e-3}
            for e in range(1, fidelity.epochs + 1)
        ]
        score = min(1.0, max(0.0, BASE + seen))
        return Evaluation(
            score,
            score,
            tuple(rows),
            0.4 * self.seconds,
            seed,
            fidelity.epochs,
            fidelity.imgsz,
            recipe={"synthetic": True},
            together={"group": f"{seed}", "size": size, "rows": 9},
        )

    def _draw(self, *key: object) -> float:
        text = "|".join(map(str, (self.seed, *key)))
        return float(np.random.default_rng(zlib.crc32(text.encode())).normal())
