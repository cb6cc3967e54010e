"""The training of a group: one loader, one augmentation and one optimizer for several detectors.

Everything of `ProxyTrainer` holds for each detector: its curve, its early stop, its flags. With no common rows, each
detector ends with the weights of a training alone, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nas_attn.detector.proxy.curve import curve_figures, split_figures
from nas_attn.detector.proxy.group import MOST_NORM, Group
from nas_attn.detector.proxy.job import Job
from nas_attn.detector.proxy.recipe import STOPPED
from nas_attn.detector.proxy.trainer import ProxyTrainer


@dataclass
class Member:
    """The curve, scores and flags of one detector of a group.

    Attributes:
        curve, flags: as those of `ProxyTrainer`.
        metrics: Ultralytics' metrics of the last validation.
        failed: the reason why the detector left the group without a score; empty if it has one.
    """

    curve: list[dict[str, float]] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    failed: str = ""

    @property
    def stopped(self) -> bool:
        """True if the detector was stopped early."""
        return any(flag.startswith(STOPPED) for flag in self.flags)

    @property
    def whole(self) -> bool:
        """True if the detector was trained to the last epoch."""
        return not self.stopped and not self.failed


class GroupTrainer(ProxyTrainer):
    """One training of a group. This class is for `detect`; `training.py` has those for other tasks.

    Args:
        model: the group.
        job: data, recipe, fidelity and seed, which all detectors share; `limits` stands for its `stop_above`.
        folder: an empty folder, which may be deleted after the training.

    Attributes:
        members: the detectors' curves, scores and flags.
        limits: for each detector: epoch -> training loss in it above which it leaves the group after this epoch.
    """

    model: Any

    def __init__(self, model: Group, job: Job, folder: Path) -> None:
        self.members = [Member() for _ in model.models]
        self.limits: list[dict[int, float]] = [{} for _ in model.models]
        super().__init__(model, job, folder)

    # methods that Ultralytics calls

    def set_model_attributes(self) -> None:
        self._given_to_all(super().set_model_attributes)

    def set_class_weights(self) -> None:
        self._given_to_all(super().set_class_weights)

    def optimizer_step(self) -> None:
        for parameters in self.model.parts():
            torch.nn.utils.clip_grad_norm_(parameters, max_norm=MOST_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update(self.model)

    def validate(self) -> tuple[dict[str, float], float]:
        for k in self._present if self._due(self.epoch) else ():
            self._validate_member(k)
        return {}, 0.0

    def save_metrics(self, metrics: dict[str, float]) -> None:
        rate = float(self.optimizer.param_groups[0]["lr"])
        for k in self._present:
            member = self.members[k]
            if member.stopped and not member.metrics:  # Ultralytics validates only if all stop
                self._validate_member(k)
            figures = curve_figures(
                {**self.label_loss_items(self.model.losses[k]), **member.metrics}, self.aim, bool(member.metrics)
            )
            row = {"epoch": self.epoch + 1, "loss": self._sum(self.model.losses[k]), "lr": rate}
            member.curve.append(row | figures)
            if member.stopped:
                self.model.leave(k)
            elif self.epoch + 1 < self.epochs:
                member.metrics = {}
        if not self._present:
            self.stop = True

    # handlers of Ultralytics' events

    def _on_train_start(self) -> None:
        super()._on_train_start()
        self.model.__dict__.pop("forward", None)  # the group casts by itself, because it goes backward in between
        self.model.precision = torch.bfloat16 if self.job.precision == "bf16" else None

    def _on_train_epoch_start(self) -> None:
        super()._on_train_epoch_start()
        self.model.begin_epoch()

    def _on_train_epoch_end(self) -> None:
        done = self.epoch + 1
        for k in self._present:
            loss = self._sum(self.model.losses[k])
            if done < self.epochs and self.limits[k].get(done, math.inf) < loss < math.inf:
                self.members[k].flags.append(f"{STOPPED}{done}")
        for k, reason in self.model.failed.items():
            self.members[k].failed = f"{reason} in epoch {done} of {self.epochs}"

    # methods of our own

    @property
    def curve_is_short(self) -> bool:
        """True if the training broke off before its last epoch."""
        return any(len(m.curve) < self.job.epochs and m.whole for m in self.members)

    @property
    def listed(self) -> list[tuple[int, Member]]:
        """The detectors with their positions."""
        return list(enumerate(self.members))

    def evaluate_member(self, k: int, split: str = "val") -> dict[str, float]:
        """Metrics of a detector (its moving average) in float32: Ultralytics' key -> value.

        Args:
            k: position of the detector.
            split: `val`, or another split of the data.
        """
        group = self.ema.ema
        self.ema.ema = group.models[k]
        try:
            return self.evaluate(split)
        finally:
            self.ema.ema = group

    def _validate_member(self, k: int) -> None:
        start = time.perf_counter()
        self.members[k].metrics = self.evaluate_member(k)
        self.val_seconds += time.perf_counter() - start

    def member_figures(self, k: int, split: str = "val") -> dict[str, Any]:
        """The figures of a detector, as in `Evaluation.scores`.

        Args:
            k: position of the detector.
            split: `val`: those of its last validation during the training; or another split of the data.
        """
        metrics = self.members[k].metrics if split == "val" else self.evaluate_member(k, split)
        return split_figures(metrics, self.aim)

    def _given_to_all(self, give: Callable[[], None]) -> None:
        """Give the attributes that Ultralytics gives the group to each detector."""
        known = set(self.model.__dict__)
        give()
        given = {k: v for k, v in self.model.__dict__.items() if k not in known}
        for model in self.model.models:
            model.__dict__.update(given)

    @property
    def _present(self) -> list[int]:
        return list(self.model.present)

    def _sum(self, items: Any) -> float:
        return math.fsum(float(v) for v in self.label_loss_items(items).values())

    def _more_state(self) -> dict[str, Any]:
        members = [(m.curve, m.flags, m.metrics, m.failed) for m in self.members]
        return {"present": self._present, "members": members}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.members = [Member(*values) for values in state["members"]]
        for k in set(self._present) - set(state["present"]):
            self.model.leave(k)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        return False  # detectors leave the group one by one
