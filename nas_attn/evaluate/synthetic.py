"""An evaluator that trains nothing: the same interface and a known truth, for tests, benchmarks and dry runs."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.space import NONE, Architecture, Gene

BASE = 0.4
CRASH_CODE = 77


@dataclass(frozen=True)
class SyntheticEvaluator:
    """mAP50-95 = 0.4 + a fixed effect of each (slot, gene) + luck of the seed + noise of (architecture, seed).

    Attributes:
        seed: draws the effects.
        effect_sd: spread of the effects.
        noise_sd: spread of the noise; 0 gives the truth.
        planted: effects that are not drawn: (`p3=lska` or `p3=lska(k_size=23)`, gain in mAP50-95); the first that fits.
        seed_sd: spread of a seed's luck, which all architectures share and pairing takes away.
        test: also score a test split: the same truth with noise of its own.
        dead: slots at which every effect is zero, and whose zeroing costs nothing.
        undertrained: those of them whose zeroing raises mAP50-95 by a tenth.
        seconds: length of a call.
        crash_on: architectures (as text) at which the process ends without a word, as in a segmentation fault.
        crashes: number of times that each of these does so before it succeeds; counted in files of `crash_folder`.
        crash_folder: folder of these counts; needed with `crash_on`.
        fail_on: architectures (as text) that fail with a reason.
        flag_on: architectures (as text) whose runs bear the flag `batch halved`.
    """

    seed: int = 0
    effect_sd: float = 0.02
    noise_sd: float = 0.005
    planted: tuple[tuple[str, float], ...] = ()
    seed_sd: float = 0.0
    test: bool = False
    dead: tuple[str, ...] = ()
    undertrained: tuple[str, ...] = ()
    seconds: float = 0.0
    crash_on: tuple[str, ...] = ()
    crashes: int = 1
    crash_folder: str | None = None
    fail_on: tuple[str, ...] = ()
    flag_on: tuple[str, ...] = ()

    def effect(self, slot: str, gene: Gene) -> float:
        """The true gain of a gene at a slot."""
        if gene == NONE or slot in self.dead:
            return 0.0
        for text, gain in self.planted:
            if text in (f"{slot}={gene}", f"{slot}={gene.module}"):
                return gain
        return float(_rng(self.seed, slot, gene).normal(0.0, self.effect_sd))

    def truth(self, architecture: Architecture) -> float:
        """mAP50-95 without noise, in [0, 1]."""
        return min(1.0, max(0.0, BASE + sum(self.effect(slot, gene) for slot, gene in architecture)))

    def __call__(
        self,
        architecture: Architecture,
        fidelity: Fidelity,
        seed: int,
        *,
        checkpoint: Path | None = None,
        liveness: bool = False,
    ) -> Evaluation:
        """The evaluation of an architecture; see `Evaluator`."""
        text = str(architecture)
        if text in self.crash_on and self._crashes_again(text):
            os._exit(CRASH_CODE)
        if text in self.fail_on:
            raise EvaluationFailed("the synthetic evaluator was told to fail here")
        if self.seconds:
            time.sleep(self.seconds)
        final = self._observed(architecture, seed, "noise")
        return Evaluation(
            map50_95=final,
            map50=min(1.0, 1.5 * final),
            curve=tuple(self._epoch(e, fidelity.epochs, final) for e in range(1, fidelity.epochs + 1)),
            seconds=self.seconds,
            seed=seed,
            epochs=fidelity.epochs,
            imgsz=fidelity.imgsz,
            flags=("batch halved",) if text in self.flag_on else (),
            liveness={s: self._zeroed(s, final) for s in architecture.slots} if liveness else None,
            recipe={"synthetic": True},
            test_map50_95=self._observed(architecture, seed, "test noise") if self.test else None,
        )

    def _observed(self, architecture: Architecture, seed: int, what: str) -> float:
        """mAP50-95 of one run on one split, in [0, 1]."""
        noise = _rng(self.seed, what, architecture, seed).normal(0.0, self.noise_sd) if self.noise_sd else 0.0
        luck = _rng(self.seed, "luck", seed).normal(0.0, self.seed_sd) if self.seed_sd else 0.0
        return float(min(1.0, max(0.0, self.truth(architecture) + noise + luck)))

    def _zeroed(self, slot: str, intact: float) -> float:
        if slot in self.undertrained:
            return 1.1 * intact
        return intact if slot in self.dead else intact / 2

    def _epoch(self, epoch: int, epochs: int, final: float) -> dict[str, float]:
        row = {"epoch": epoch, "loss": 4.0 - 2.0 * epoch / epochs, "lr": 2e-3 * (1 - epoch / epochs)}
        return {**row, "map50_95": final} if epoch == epochs else row

    def _crashes_again(self, text: str) -> bool:
        if self.crash_folder is None:
            raise ValueError("`crash_on` needs a `crash_folder`, but got none.")
        marker = Path(self.crash_folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
        done = len(marker.read_text("utf-8")) if marker.exists() else 0
        if done < self.crashes:
            marker.write_text("x" * (done + 1), "utf-8")
        return done < self.crashes


def _rng(*key: object) -> np.random.Generator:
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
