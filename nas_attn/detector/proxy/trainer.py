"""Ultralytics' trainers, reduced to the parts that a proxy training needs.

They make no plots, write no file except the checkpoint, skip the second validation at the end, download nothing, and
call no callbacks of other services. All random numbers depend only on (seed, epoch, image), see `dataset.py`.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.data.build import InfiniteDataLoader, seed_worker
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG, LOGGER, callbacks
from ultralytics.utils.torch_utils import init_seeds

from nas_attn import pulse
from nas_attn.detector.proxy import checkpoint
from nas_attn.detector.proxy.curve import curve_figures, keyless, split_figures
from nas_attn.detector.proxy.dataset import EpochSampler, StoreDataset
from nas_attn.detector.proxy.job import Job
from nas_attn.detector.proxy.recipe import STOPPED
from nas_attn.errors import EvaluationFailed
from nas_attn.tasks import TASKS

MAX_RELOADS = 3
UNLISTED = ("save_dir", "augmentations")  # arguments that Ultralytics accepts, although default.yaml lacks them


@contextlib.contextmanager
def _without_trackers() -> Iterator[None]:
    """A context in which a trainer loads no tracker that is installed: this takes seconds and writes into the home."""
    known = callbacks.add_integration_callbacks
    callbacks.add_integration_callbacks = lambda trainer: None
    try:
        yield
    finally:
        callbacks.add_integration_callbacks = known


class ProxyTrainer(DetectionTrainer):
    """One proxy training of a built model. This class is for `detect`; `training.py` has those for other tasks.

    Args:
        model: the model to train, on any device.
        job: data, recipe, fidelity and seed.
        folder: an empty folder, which may be deleted after the training.

    Attributes:
        curve: one dictionary per epoch, as in `Evaluation.curve`.
        flags: events that make this run not comparable with others, as in `Evaluation.flags`.
        last: the figures on val of the last validation during the training, as in `Evaluation.scores`.
        steps_seconds: seconds in training steps, without the loading of data.
        val_seconds: seconds in validations.
        aim: the task, which has Ultralytics' keys of its metrics.
    """

    def __init__(self, model: nn.Module, job: Job, folder: Path) -> None:
        self.job, self.aim = job, TASKS[job.info.task]
        self.curve: list[dict[str, float]] = []
        self.flags: list[str] = []
        self.last: dict[str, Any] = {}
        self.steps_seconds = self.val_seconds = 0.0
        self._step = self._reloads = 0
        self._saved_at = time.monotonic()
        wanted = job.overrides(folder)
        with _without_trackers():
            super().__init__(overrides={k: v for k, v in wanted.items() if hasattr(DEFAULT_CFG, k) or k in UNLISTED})
        self.callbacks: dict[str, list[Any]] = defaultdict(list)
        self.model = model

    # methods that Ultralytics calls

    def run_callbacks(self, event: str) -> None:
        handler = getattr(self, f"_{event}", None)
        if handler is not None:
            handler()

    def get_dataset(self) -> dict[str, Any]:
        return self.job.data

    def get_dataloader(
        self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> InfiniteDataLoader:
        split = mode if mode in self.job.stores else "train"
        if mode == "val":
            self._val_batch = batch_size
        return self._loader(split, batch_size, augment=mode == "train")

    def build_optimizer(self, *arguments: Any, **keywords: Any) -> torch.optim.Optimizer:
        optimizer = super().build_optimizer(*arguments, **keywords)
        if isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
            for group in optimizer.param_groups:
                group["fused"] = True  # one kernel for all tensors: in a small detector, calls take most of a step
        return optimizer

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def validate(self) -> tuple[dict[str, float], float]:
        if not self._due(self.epoch):
            return {}, 0.0
        start = time.perf_counter()
        metrics = self.evaluate()
        self.val_seconds += time.perf_counter() - start
        return metrics, 0.0

    def save_metrics(self, metrics: dict[str, float]) -> None:
        row = {"epoch": self.epoch + 1, "loss": self._mean_loss, "lr": float(self.optimizer.param_groups[0]["lr"])}
        self.curve.append(row | curve_figures(metrics, self.aim, self._due(self.epoch)))
        if self._due(self.epoch):
            self.last = split_figures(metrics, self.aim)

    def save_model(self) -> bool:
        return False

    def final_eval(self) -> None:
        pass

    def _clear_memory(self, threshold: float | None = None) -> None:
        if self.device.type != "cpu":  # on the CPU the caller collects once, after the trainer
            super()._clear_memory(threshold)

    def resume_training(self, ckpt: Any) -> None:
        state = checkpoint.load(self.job.checkpoint, self.job.key) if self.job.checkpoint else None
        if state is None:
            return
        self._restore(state)
        self.start_epoch = state["epochs"]
        self.curve, self.flags = list(state["curve"]), list(state["flags"])
        self.steps_seconds, self.val_seconds = state["seconds"]
        criterion = getattr(self.model, "criterion", None)
        if criterion is None and state["epochs"] and hasattr(self.model, "init_criterion"):
            criterion = self.model.criterion = self.model.init_criterion()
        if criterion is not None and hasattr(criterion, "update"):  # yolo26 reweights its two losses each epoch
            for _ in range(state["epochs"]):
                criterion.update()

    # handlers of Ultralytics' events

    def _on_pretrain_routine_end(self) -> None:
        for model in (self.model, self.ema.ema):  # a step takes 10 to 20 % less time, on the CPU too
            model.to(memory_format=torch.channels_last)
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = self.job.recipe.bn_momentum

    def _on_train_start(self) -> None:
        init_seeds(self.job.seed, deterministic=True)
        if self.start_epoch:
            self.train_loader.sampler.epoch = self.start_epoch
            self.train_loader.reset()
        if self.job.precision == "bf16":
            forward = self.model.forward

            def autocast(*arguments: Any, **keywords: Any) -> Any:
                with torch.autocast(self.device.type, torch.bfloat16):
                    return forward(*arguments, **keywords)

            self.model.forward = autocast

    def _on_train_epoch_start(self) -> None:
        # one seed per epoch instead of one per run: then a resumed epoch draws the numbers of an uninterrupted one
        torch.manual_seed(int(np.random.SeedSequence((self.job.seed, self.epoch, 0)).generate_state(1)[0]))
        self._step = self.epoch * len(self.train_loader)

    def _on_train_batch_start(self) -> None:
        factor = self.job.recipe.factor(self._step, self.epochs * len(self.train_loader))
        for group in self.optimizer.param_groups:
            group["lr"] = self.job.recipe.lr0 * factor
        self._step += 1
        self._began = time.perf_counter()

    def _on_train_batch_end(self) -> None:
        self.steps_seconds += time.perf_counter() - self._began
        pulse.beat(self.epoch + 1, self.epochs, min(1.0, self._step / (self.epochs * len(self.train_loader))))

    def _on_train_epoch_end(self) -> None:
        done, loss = self.epoch + 1, self._mean_loss
        if done < self.epochs and self.job.stop_above.get(done, math.inf) < loss < math.inf:
            self._flag(f"{STOPPED}{self.epoch + 1}")
            self.stop = True  # Ultralytics validates once more, and ends its loop after this epoch

    def _on_fit_epoch_end(self) -> None:
        if self.batch_size != self.job.recipe.batch:
            self._flag("batch halved")
        done = self.epoch + 1
        due = time.monotonic() - self._saved_at >= self.job.checkpoint_seconds
        if self.job.checkpoint is not None and due and done < self.epochs and not self.stop:
            self._save(self.job.checkpoint, done)
        if self.job.after_epoch is not None:
            self.job.after_epoch(done)

    # methods of our own

    @property
    def curve_is_short(self) -> bool:
        """True if the training broke off before its last epoch."""
        return len(self.curve) < self.job.epochs and not self.stopped

    @property
    def stopped(self) -> bool:
        """True if the training was stopped early."""
        return any(flag.startswith(STOPPED) for flag in self.flags)

    def evaluate(self, split: str = "val") -> dict[str, float]:
        """Metrics of the trained model (its moving average) in float32: Ultralytics' key -> value.

        Args:
            split: `val`, or another split of the data.
        """
        kept = self.validator.dataloader
        if split != "val":
            self.validator.dataloader = self._loader(split, self._val_batch, augment=False)
        try:
            metrics: dict[str, float] = super().validate()[0]
            return metrics | keyless(getattr(self.validator.metrics, self.aim.metrics), self.job.data["names"])
        finally:
            if self.validator.dataloader is not kept:
                self.validator.dataloader.close()
            self.validator.dataloader = kept

    def figures(self, split: str = "val") -> dict[str, Any]:
        """The figures of the trained model on a split, for the objects of its task, as in `Evaluation.scores`."""
        return split_figures(self.evaluate(split), self.aim)

    def close(self) -> None:
        """End the processes of the data loaders, if there are any."""
        for name in ("train_loader", "test_loader"):
            loader = self.__dict__.pop(name, None)
            if loader is not None:
                loader.reset()
        if isinstance(self.model, nn.Module):
            self.model.__dict__.pop("forward", None)

    def _due(self, epoch: int) -> bool:
        every = self.job.recipe.val_every
        regular = bool(every) and (epoch + 1) % every == 0
        return epoch + 1 >= self.epochs or self.stopped or regular

    def _flag(self, flag: str) -> None:
        if flag not in self.flags:
            self.flags.append(flag)

    def _loader(self, split: str, batch: int, *, augment: bool) -> InfiniteDataLoader:
        job = self.job
        store = job.stores[split]
        there = job.chosen.get(split, range(len(store)))
        dataset = StoreDataset(
            store,
            [there[i] for i in spread(len(there), job.fraction if augment else 1.0)],
            job.seed,
            open_epochs=job.recipe.open_epochs(job.epochs) if augment else None,
            imgsz=job.imgsz,
            batch_size=batch,
            augment=augment,
            hyp=copy.copy(self.args),
            rect=not augment,
            stride=max(int(self.model.stride.max()), 32),
            pad=0.0 if augment else 0.5,
            data=self.data,
            task=store.form.task,
        )
        workers = min(job.workers, -(-len(dataset) // batch) - 1)
        return InfiniteDataLoader(
            dataset=dataset,
            batch_size=min(batch, len(dataset)),
            sampler=EpochSampler(len(dataset), job.seed, getattr(self, "epoch", self.start_epoch)) if augment else None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=self.device.type == "cuda",
            collate_fn=dataset.collate_fn,
            worker_init_fn=seed_worker,
            generator=torch.Generator().manual_seed(job.seed),
        )

    def _save(self, path: Path, done: int) -> None:
        checkpoint.save(
            path,
            self.job.key,
            {
                "epochs": done,
                "model": self.model.state_dict(),
                "ema": self.ema.ema.state_dict(),
                "updates": self.ema.updates,
                "optimizer": self.optimizer.state_dict(),
                "curve": self.curve,
                "flags": self.flags,
                "seconds": (self.steps_seconds, self.val_seconds),
                **self._more_state(),
            },
        )
        self._saved_at = time.monotonic()

    def _more_state(self) -> dict[str, Any]:
        """Further parts of a checkpoint, for `_restore`."""
        return {}

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["ema"])
        self.ema.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])

    @property
    def _mean_loss(self) -> float:
        """The sum of all losses, as their mean over the steps of this epoch."""
        return math.fsum(float(v) for v in self.label_loss_items(self.tloss).values())

    def _handle_nan_recovery(self, epoch: int) -> bool:
        if math.isfinite(self._mean_loss) and bool(torch.isfinite(self.loss).all()):
            return False
        state = checkpoint.load(self.job.checkpoint, self.job.key) if self.job.checkpoint else None
        self._reloads += 1
        if state is None or self._reloads > MAX_RELOADS:
            raise EvaluationFailed(f"the loss was not finite in epoch {epoch + 1} of {self.epochs}")
        LOGGER.warning("the loss is not finite: back to the last checkpoint")
        self._flag("nan reload")
        self._restore(state)
        return True


def spread(length: int, fraction: float) -> list[int]:
    """Indices of a share of the images, evenly spaced over the list, and equal for all architectures.

    Args:
        length: number of images.
        fraction: the share, in (0, 1].
    """
    count = max(1, min(length, round(length * fraction)))
    return np.linspace(0, length - 1, count).round().astype(int).tolist() if count > 1 else [0]
