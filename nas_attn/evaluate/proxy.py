"""The proxy evaluator: it trains an architecture in a short Ultralytics run on the user's data."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.environment import prepare
from nas_attn.errors import EvaluationFailed, UserError
from nas_attn.evaluate.evaluation import SPLIT, Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.evaluate.proxy_settings import ProxySettings
from nas_attn.space import Architecture

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel
    from nas_attn.detector.proxy.trainer import ProxyTrainer
    from nas_attn.space import Slot

TRUNK, NOTHING = SHARES = ("trunk", "nothing")


class ProxyEvaluator(ProxySettings):
    """Trains an architecture in a short run and scores it.

    The object is plain data: the fields of `ProxySettings`. Nothing heavy is imported before it is called.
    """

    @staticmethod
    def load() -> None:
        """Load the libraries of a run, so that a worker has them before its first call."""
        prepare()
        import torch

        import nas_attn.detector.proxy.training
        import nas_attn.detector.weights.initial_weights  # noqa: F401

        torch.use_deterministic_algorithms(False)  # as each run does; the first call imports torch's compiler

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
        """Train and score one architecture; for the arguments see `Evaluator`.

        Raises:
            UserError: the image size, the start or the data break a rule.
            EvaluationFailed: the training gives no score.
        """
        return self._run(architecture, fidelity, seed, checkpoint, liveness, keep=None, stop_above=stop_above)

    def train_base(
        self,
        fidelity: Fidelity,
        seed: int,
        save_to: Path,
        *,
        slots: tuple[str, ...] | None = None,
        checkpoint: Path | None = None,
        liveness: bool = True,
    ) -> Evaluation:
        """Train the unchanged base for `start=base`, and save its weights.

        The training starts from `weights` if they are given, else from scratch. A crash leaves no partial file.

        Args:
            fidelity: epochs, image size and data fraction.
            seed: determines the initial weights, the data order and the augmentation.
            save_to: file for the weights.
            slots: names of the slots whose liveness is measured; None means those after each block that feeds the
                head.
            checkpoint: file for the state from which a repeated call continues.
            liveness: also measure the scores with the output of each of these slots zeroed.

        Raises:
            UserError: the image size, the start or the data break a rule.
            EvaluationFailed: the training gives no score.
        """
        base = replace(self, start="weights" if self.weights else "scratch")
        if slots is None:
            slots = tuple(s.name for s in base.slots(fidelity.imgsz) if "." not in s.name)
        architecture = Architecture.none(slots)
        return base._run(architecture, fidelity, seed, checkpoint, liveness, keep=Path(save_to))

    def together(
        self,
        architectures: Sequence[Architecture],
        fidelity: Fidelity,
        seed: int,
        *,
        share: str = TRUNK,
        checkpoint: Path | None = None,
        stop_above: Sequence[Mapping[int, float]] = (),
    ) -> list[Evaluation | EvaluationFailed]:
        """Train and score several architectures in one run, on the same batches.

        The rows of the model up to the first filled slot are one set of weights, with averaged gradients; each
        architecture has its own rows behind it. If the memory is not enough, the group is split and trained again.

        Args:
            architectures: the architectures; they must differ.
            fidelity: epochs, image size and data fraction.
            seed: determines the shared initial weights, the data order and the augmentation.
            share: `trunk`, or `nothing`: then each score is that of a run alone.
            checkpoint: file for the state from which a repeated call continues.
            stop_above: for each architecture: epoch -> training loss in it above which it leaves the group.

        Returns:
            For each architecture its scores, or the reason why it has none.

        Raises:
            UserError: the image size, the start or the data break a rule.
            EvaluationFailed: no architecture has a score.
        """
        from nas_attn.detector.proxy.group import TooLarge

        group = list(architectures)
        if share not in SHARES or len(set(group)) < len(group) or not group:
            rule = "a group must have different architectures, and share `trunk` or `nothing`"
            raise UserError(rule, got=f"share '{share}', {'; '.join(map(str, group)) or 'no architecture'}")
        limits = [dict(s) for s in stop_above] or [{} for _ in group]
        try:
            return self._grouped(group, fidelity, seed, share, checkpoint, limits)
        except TooLarge as error:
            if len(group) == 1:
                raise EvaluationFailed(str(error)) from None
        found: list[Evaluation | EvaluationFailed] = []
        for half in (slice(None, len(group) // 2), slice(len(group) // 2, None)):
            try:
                found += self.together(group[half], fidelity, seed, share=share, stop_above=limits[half])
            except EvaluationFailed as failed:
                found += [failed] * len(group[half])
        return [f if isinstance(f, EvaluationFailed) else replace(f, flags=_once(f.flags, SPLIT)) for f in found]

    def _grouped(
        self,
        group: list[Architecture],
        fidelity: Fidelity,
        seed: int,
        share: str,
        checkpoint: Path | None,
        limits: list[dict[int, float]],
    ) -> list[Evaluation | EvaluationFailed]:
        began = time.perf_counter()
        info, base, slots = self.loaded(fidelity, group)

        from nas_attn.detector.proxy.group import Group, common_rows
        from nas_attn.detector.proxy.training import train_group
        from nas_attn.detector.weights.initial_weights import build

        weights, size = self.start_weights(), len(group)
        models, reports = zip(*(build(base, slots, a, seed, weights) for a in group), strict=True)
        rows = common_rows(models) if share == TRUNK else 0
        what = f"together, {rows} rows: {'; '.join(map(str, group))}"
        with tempfile.TemporaryDirectory(prefix="nas_attn-") as folder:
            job = self.job(info, what, fidelity, seed, checkpoint)
            trainer = train_group(Group(models, rows), job, Path(folder), limits)
            try:
                asked = self.test and info.test
                vals = [trainer.member_figures(k) for k, _ in trainer.listed]
                tests = [trainer.member_figures(k, "test") if asked and m.whole else None for k, m in trainer.listed]
            finally:
                trainer.close()
        told: dict[str, Any] = {
            "seconds": (time.perf_counter() - began) / size,
            "steps_seconds": trainer.steps_seconds / size,
            "val_seconds": trainer.val_seconds / size,
            "together": {"group": job.key[:12], "size": size, "rows": rows},
        }
        found: list[Evaluation | EvaluationFailed] = []
        for (_, member), val, test, report in zip(trainer.listed, vals, tests, reports, strict=True):
            if member.failed:
                found.append(EvaluationFailed(member.failed))
                continue
            transferred = report.ratio if self.start != "scratch" else None
            curve, flags = tuple(member.curve), tuple(member.flags)
            more = {**told, "flags": flags, "transferred": transferred}
            found.append(self.evaluation(info, fidelity, seed, curve=curve, val=val, test=test, **more))
        del trainer, models
        gc.collect()  # as in `_run`
        if checkpoint is not None:
            Path(checkpoint).unlink(missing_ok=True)
        return found

    def _run(
        self,
        architecture: Architecture,
        fidelity: Fidelity,
        seed: int,
        checkpoint: Path | None,
        liveness: bool,
        keep: Path | None,
        stop_above: Mapping[int, float] | None = None,
    ) -> Evaluation:
        began = time.perf_counter()
        info, base, slots = self.loaded(fidelity, [architecture])

        from nas_attn.detector.proxy.checkpoint import save
        from nas_attn.detector.proxy.training import train
        from nas_attn.detector.weights.initial_weights import build

        model, report = build(base, slots, architecture, seed, self.start_weights())
        with tempfile.TemporaryDirectory(prefix="nas_attn-") as folder:
            job = self.job(info, str(architecture), fidelity, seed, checkpoint)
            trainer = train(model, replace(job, stop_above=dict(stop_above or {})), Path(folder))
            try:
                zeroed = _measure(trainer, base, slots, architecture) if liveness else None
                test = trainer.figures("test") if self.test and info.test and not trainer.stopped else None
                if keep is not None:
                    save(keep, "base", {"weights": trainer.ema.ema.state_dict()})
            finally:
                trainer.close()
        result = self.evaluation(
            info,
            fidelity,
            seed,
            curve=tuple(trainer.curve),
            flags=tuple(trainer.flags),
            seconds=time.perf_counter() - began,
            steps_seconds=trainer.steps_seconds,
            val_seconds=trainer.val_seconds,
            val=trainer.last,
            test=test,
            liveness=None if zeroed is None else {slot: figures["map50_95"] for slot, figures in zeroed.items()},
            zeroed=zeroed,
            transferred=report.ratio if self.start != "scratch" else None,
        )
        del trainer, model
        gc.collect()  # trainer and validator refer to each other, and a worker runs many trials
        if checkpoint is not None:
            Path(checkpoint).unlink(missing_ok=True)
        return result


def _once(flags: tuple[str, ...], flag: str) -> tuple[str, ...]:
    return flags if flag in flags else (*flags, flag)


def _measure(
    trainer: ProxyTrainer, base: BaseModel, slots: tuple[Slot, ...], architecture: Architecture
) -> dict[str, dict[str, Any]]:
    """The liveness of the slots that an architecture names: slot -> figures with this slot zeroed."""
    from nas_attn.detector.neck.surgery import apply
    from nas_attn.detector.proxy.liveness import measure

    asked = tuple(s for s in slots if s.name in architecture.slots)
    return measure(trainer, base.rows, asked, apply(base, slots, architecture))
