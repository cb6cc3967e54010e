"""An evaluator that trains nothing and draws scores around a known truth, for tests, benchmarks and dry runs."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas_attn.detector.proxy.recipe import STOPPED
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.space import NONE, Architecture, Gene

BASE = 0.4
CRASH_CODE = 77
RISE = 1 / 3  # mAP50-95 after a share of the epochs is the final one times the share to this power
LEARNS = 5.0  # training loss that falls with each unit of mAP50-95 that it speaks of
RECALL = 1_000_003  # added to the seed of the effects: those on the recall are others
SHARED, OWN = 0.3, 0.33  # of the noise: the loss has a fifth of the mAP's variance, correlated .67, as on BCCD


@dataclass(frozen=True)
class SyntheticEvaluator:
    """Draws mAP50-95 = 0.4 + an effect of each (slot, gene) + an effect of the seed + noise of (architecture, seed).

    The recall is drawn in the same way, with other effects, but with the same planted ones.

    Attributes:
        seed: seed of the effects.
        effect_sd: standard deviation of the effects of genes, mAP50-95.
        noise_sd: standard deviation of the noise, mAP50-95; 0 gives the truth.
        planted: fixed effects in place of drawn ones: (`p3=lska` or `p3=lska(k_size=23)`, gain in mAP50-95). If
            several match a gene, the first one counts.
        seed_sd: standard deviation of the effect of a seed. All architectures share it, so pairing removes it.
        test: also score a test split, with the same truth and other noise.
        dead: slots at which every effect is zero; zeroing them costs nothing.
        undertrained: slots whose zeroing raises mAP50-95 by a tenth.
        seconds: duration of a call that is not stopped early.
        crash_on: architectures (as text) at which the process ends at once, as after a segmentation fault.
        crashes: number of crashes of each such architecture before it succeeds; counted in files in `crash_folder`.
        crash_folder: folder of these files; needed with `crash_on`.
        fail_on: architectures (as text) that fail with a reason.
        flag_on: architectures (as text) whose runs get the flag `batch halved`.
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
        """The true gain of a gene at a slot, mAP50-95."""
        if gene == NONE or slot in self.dead:
            return 0.0
        for text, gain in self.planted:
            if text in (f"{slot}={gene}", f"{slot}={gene.module}"):
                return gain
        return float(_rng(self.seed, slot, gene).normal(0.0, self.effect_sd))

    def truth(self, architecture: Architecture) -> float:
        """The true mAP50-95 of an architecture, without noise, in [0, 1]."""
        return min(1.0, max(0.0, BASE + sum(self.effect(slot, gene) for slot, gene in architecture)))

    def __call__(
        self,
        architecture: Architecture,
        fidelity: Fidelity,
        seed: int,
        *,
        checkpoint: Path | None = None,
        liveness: bool = False,
        stop_above: Mapping[int, float] | None = None,
    ) -> Evaluation:
        """The evaluation of an architecture; for the arguments see `Evaluator`.

        Raises:
            EvaluationFailed: the architecture is in `fail_on`.
        """
        text = str(architecture)
        if text in self.crash_on and self._crashes_again(text):
            os._exit(CRASH_CODE)
        if text in self.fail_on:
            raise EvaluationFailed("the synthetic evaluator was told to fail here")
        final, epochs, limits = self._observed(architecture, seed, "noise"), fidelity.epochs, stop_above or {}
        learned = self._learned(architecture, seed)
        rows = [self._epoch(e, epochs, learned) for e in range(1, epochs + 1)]
        over = (e for e in range(1, epochs) if rows[e - 1]["loss"] > limits.get(e, math.inf))
        last = next(over, epochs)
        flags = ("batch halved",) if text in self.flag_on else ()
        rise = (last / epochs) ** RISE
        score = final * rise
        zeroed = {s: self._zeroed(s, final) for s in architecture.slots} if liveness else None
        test = self._observed(architecture, seed, "test noise") if self.test and last == epochs else None
        recall = {split: self._recall(architecture, seed, split) for split in ("val", "test")}
        seconds = self.seconds * last / epochs
        if seconds:
            time.sleep(seconds)
        return Evaluation(
            map50_95=score,
            map50=_figures(score)["map50"],
            curve=(*rows[: last - 1], {**rows[last - 1], "map50_95": score}),
            seconds=seconds,
            seed=seed,
            epochs=fidelity.epochs,
            imgsz=fidelity.imgsz,
            flags=flags if last == epochs else (*flags, f"{STOPPED}{last}"),
            liveness=zeroed,
            recipe={"synthetic": True},
            test_map50_95=test,
            scores={
                "val": _figures(score, rise * recall["val"]),
                **({} if test is None else {"test": _figures(test, recall["test"])}),
            },
            zeroed=None if zeroed is None else {s: _figures(value) for s, value in zeroed.items()},
        )

    def _observed(self, architecture: Architecture, seed: int, what: str) -> float:
        """The mAP50-95 of one run on one split, with noise, in [0, 1]."""
        noise = self._noise(what, architecture, seed)
        luck = _rng(self.seed, "luck", seed).normal(0.0, self.seed_sd) if self.seed_sd else 0.0
        return float(min(1.0, max(0.0, self.truth(architecture) + noise + luck)))

    def _recall(self, architecture: Architecture, seed: int, split: str) -> float:
        """The recall of one run on one split: with effects and noise of its own, in [0, 1]."""
        told = SyntheticEvaluator(
            self.seed + RECALL, self.effect_sd, self.noise_sd, self.planted, self.seed_sd, dead=self.dead
        )
        return told._observed(architecture, seed, f"{split} noise")

    def _noise(self, what: str, architecture: Architecture, seed: int) -> float:
        return float(_rng(self.seed, what, architecture, seed).normal(0.0, self.noise_sd)) if self.noise_sd else 0.0

    def _learned(self, architecture: Architecture, seed: int) -> float:
        """The mAP50-95 that the training loss speaks of: with less noise, of which a part is that of the mAP."""
        noise = SHARED * self._noise("noise", architecture, seed) + OWN * self._noise("loss noise", architecture, seed)
        return self._observed(architecture, seed, "noise") - self._noise("noise", architecture, seed) + noise

    def _zeroed(self, slot: str, intact: float) -> float:
        if slot in self.undertrained:
            return 1.1 * intact
        return intact if slot in self.dead else intact / 2

    def _epoch(self, epoch: int, epochs: int, learned: float) -> dict[str, float]:
        loss = 4.0 - 2.0 * epoch / epochs - LEARNS * (learned - BASE)
        return {"epoch": epoch, "loss": loss, "lr": 2e-3 * (1 - epoch / epochs)}

    def _crashes_again(self, text: str) -> bool:
        if self.crash_folder is None:
            raise ValueError("`crash_on` needs `crash_folder`, but got none.")
        marker = Path(self.crash_folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
        done = len(marker.read_text("utf-8")) if marker.exists() else 0
        if done < self.crashes:
            marker.write_text("x" * (done + 1), "utf-8")
        return done < self.crashes


def _figures(score: float, recall: float | None = None) -> dict[str, Any]:
    """The figures of a split, as in `Evaluation.scores`; there are no classes."""
    found = {"map50_95": score, "map50": min(1.0, 1.5 * score), "precision": min(1.0, 1.6 * score)}
    return {**found, **({} if recall is None else {"recall": recall}), "classes": {}}


def _rng(*key: object) -> np.random.Generator:
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
