"""The settings of proxy runs, and what follows from them: the base, its slots, and the arguments of a training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn._version import __version__
from nas_attn.attention import layers, user
from nas_attn.attention.user import Source
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.errors import ConfigError, DataError, EvaluationFailed, UserError
from nas_attn.evaluate import shared
from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.evaluate.starts import STARTS, check_start
from nas_attn.space import Architecture

if TYPE_CHECKING:
    from nas_attn.data.check import DataInfo
    from nas_attn.detector.model.base_model import BaseModel
    from nas_attn.detector.proxy.job import Job
    from nas_attn.space import Slot

MIN_REG_MAX = 3
MIN_STRIDE = 32  # Ultralytics rounds image sizes to multiples of at least this stride


@dataclass(frozen=True)
class ProxySettings:
    """The base, the data, the recipe and the machine of proxy runs, as plain data.

    Attributes:
        model: base model, as for `load_base`.
        data: path of the data.yaml.
        nc: number of classes of the data.
        final_imgsz: image size of the final training in pixels; `proxy_reg_max` depends on it.
        width: width factor of the base, instead of its scale's.
        start: `scratch` (shared initial weights), `weights` (from a checkpoint), or `base` (from `base_file`).
        weights: checkpoint for `weights`; with `base`, the checkpoint from which the base was trained, if any.
        base_file: the file that `train_base` saved, for `base`.
        device: `cpu`, `cuda` or `cuda:N`.
        precision: `fp32` or `bf16`; None means fp32 on the CPU and bf16 on CUDA.
        recipe: batch, learning rate, augmentation and the other training settings.
        test: also score the test split, if the data has one.
        cache: folder for decoded images; None means a folder in the user's cache.
        cache_gib: if the decoded images of a split need more GiB, they are not cached but read from disk each time.
        threads: CPU threads.
        workers: number of data loader processes on CUDA.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        modules: sources of the user's own attention modules, and of own layers in the base.
        kpt_shape: (keypoints, values per keypoint) of the data, if the model predicts keypoints.
        folds: each seed has its own split of train and val together, one of so many folds for val; None for the data's
            own split.
        fold_groups: regular expression for images that stay together, as `group_names` takes it.
    """

    model: str
    data: str
    nc: int
    final_imgsz: int = 640
    width: float | None = None
    start: str = "scratch"
    weights: str | None = None
    base_file: str | None = None
    device: str = "cpu"
    precision: str | None = None
    recipe: Recipe = field(default_factory=Recipe)
    test: bool = False
    cache: str | None = None
    cache_gib: float = 4.0
    threads: int = 1
    workers: int = 4
    checkpoint_seconds: float = 30.0
    modules: tuple[Source, ...] = ()
    kpt_shape: tuple[int, int] | None = None
    folds: int | None = None
    fold_groups: str | None = None

    def check(self, fidelity: Fidelity, architecture: Architecture | None = None) -> None:
        """Check, before any training, that an architecture can be trained at a fidelity.

        Args:
            fidelity: epochs, image size and data fraction.
            architecture: the architecture; None checks everything else.

        Raises:
            UserError: a rule is broken; the error names the first one.
        """
        stride = max(MIN_STRIDE, *(s.stride for s in self.slots(fidelity.imgsz)))
        if fidelity.imgsz < stride or fidelity.imgsz % stride:
            near = max(stride, round(fidelity.imgsz / stride) * stride)
            rule = f"the image size must be a multiple of {stride}, the detector's largest stride"
            raise UserError(rule, got=fidelity.imgsz, remedy=f"Use {near}.")
        if fidelity.epochs < 1 or not 0 < fidelity.fraction <= 1:
            rule = "a proxy run must have at least one epoch, and a share of the images above 0 and at most 1"
            raise UserError(rule, got=f"{fidelity.epochs} epochs, share {fidelity.fraction:g}")
        if self.start not in STARTS:
            raise UserError(f"the start must be one of {', '.join(STARTS)}", got=f"'{self.start}'")
        needed = {"weights": self.weights, "base": self.base_file}.get(self.start, "")
        if needed is None or (needed and not Path(needed).is_file()):
            raise UserError(f"the start `{self.start}` needs a weights file", got=needed or "none")
        if architecture is not None:
            check_start(self.start, architecture, self.slots(fidelity.imgsz))

    def proxy_reg_max(self, imgsz: int) -> int:
        """The number of bins of the box regression (`reg_max`) at an image size in pixels.

        It shrinks with the image size, so that the proxy's boxes reach as far, relative to the image, as those of the
        final model. Pretrained heads, and heads without bins, keep their `reg_max`.
        """
        own = self.final_base()[2]
        if self.weights is not None or own <= 1:
            return own
        return max(MIN_REG_MAX, round(own * imgsz / self.final_imgsz))

    def slots(self, imgsz: int) -> tuple[Slot, ...]:
        """All slots of the base, as it is trained at an image size in pixels."""
        return self._base(imgsz)[1]

    def _base(self, imgsz: int) -> tuple[BaseModel, tuple[Slot, ...]]:
        base, slots, _ = self.final_base()
        return base.changed(reg_max=self.proxy_reg_max(imgsz)), slots

    def final_base(self) -> tuple[BaseModel, tuple[Slot, ...], int]:
        """The base model of the final training, with its own head.

        Returns:
            The model, all its slots, and its `reg_max`.
        """
        _prepare()
        edited = shared.edited_at(self.model), [f.source.digest for f in layers.files()]
        return shared.base(self.model, self.width, self.nc, self.kpt_shape, str(edited))

    def loaded(
        self, fidelity: Fidelity, architectures: Sequence[Architecture]
    ) -> tuple[DataInfo, BaseModel, tuple[Slot, ...]]:
        """The checked data, and the base with its slots, for trainings of architectures in this process.

        Raises:
            UserError: the image size, the start or the data break a rule.
        """
        _prepare()
        user.ensure(self.modules)
        import torch

        torch.set_num_threads(self.threads)
        for architecture in architectures:
            self.check(fidelity, architecture)
        base, slots = self._base(fidelity.imgsz)
        info = shared.data(self.data, self.nc, base.task, self._edited)
        if info.kpt_shape and info.kpt_shape != (built := tuple(base.yaml["kpt_shape"])):
            rule = "the model must predict the data's keypoints"
            raise UserError(rule, got=f"{built}, not {info.kpt_shape}", remedy=f"Give `kpt_shape={info.kpt_shape}`.")
        return info, base, slots

    def evaluation(
        self, info: DataInfo, fidelity: Fidelity, seed: int, *, curve: tuple[dict[str, float], ...], **told: Any
    ) -> Evaluation:
        """The result of a training by this evaluator.

        Args:
            info: the data.
            fidelity, seed: of the training.
            curve: its learning curve, which ends with a validated epoch.
            told: further fields of `Evaluation`.
        """
        import torch

        return Evaluation(
            map50_95=curve[-1]["map50_95"],
            map50=curve[-1]["map50"],
            curve=curve,
            seed=seed,
            epochs=fidelity.epochs,
            imgsz=fidelity.imgsz,
            recipe=self._recipe(fidelity, info),
            device=torch.cuda.get_device_name(self.device) if self.device != "cpu" else "cpu",
            precision=self._precision,
            versions=_versions(),
            task=info.task,
            **told,
        )

    @property
    def _edited(self) -> str:
        from nas_attn.data.image_lists import stamp

        return stamp(self.data)

    def job(self, info: DataInfo, what: str, fidelity: Fidelity, seed: int, checkpoint: Path | None) -> Job:
        """The arguments of a training.

        Args:
            info: the data.
            what: text of what is trained, which tells its checkpoint from others.
            fidelity, seed: of the training.
            checkpoint: file for the state from which a repeated call continues.
        """
        from nas_attn.detector.proxy.job import Job
        from nas_attn.detector.proxy.trainer import spread

        splits = ("train", "val", "test") if self.test and info.test else ("train", "val")
        files = {s: info.files[s] for s in splits}
        if self.folds:
            files["train"] = files["val"] = tuple(dict.fromkeys((*files["train"], *files["val"])))
        else:  # chosen here, not in the trainer: a tenth of COCO may fit into the cache although all of COCO does not
            files["train"] = tuple(files["train"][i] for i in spread(info.train, fidelity.fraction))
        cache = self.cache or str(_cache_folder())
        stores, problems = {}, []
        for s, listed in files.items():
            sizes = fidelity.imgsz, cache, self.cache_gib, self.threads
            try:
                stores[s] = shared.store(listed, *sizes, info.labels, self._edited)
            except DataError as error:
                problems.append(error)
        if problems:  # of all splits together
            raise ConfigError(problems, where=str(info.path))
        chosen: dict[str, Sequence[int]] = {}
        if self.folds:
            train, chosen["val"] = shared.fold(stores["train"], self.nc, self.folds, seed, self.fold_groups)
            chosen["train"] = [train[i] for i in spread(len(train), fidelity.fraction)]
        unset = ("cache", "threads", "workers", *(() if self.folds else ("folds", "fold_groups")))
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in unset}
        key = hashlib.sha256(f"{what}|{fidelity}|{seed}|{info.fingerprint}|{own}".encode()).hexdigest()
        return Job(
            info=info,
            stores=stores,
            chosen=chosen,
            recipe=self._suited(info),
            epochs=fidelity.epochs,
            imgsz=fidelity.imgsz,
            seed=seed,
            device=self.device,
            precision=self._precision,
            workers=0 if self.device == "cpu" else self.workers,
            key=key,
            checkpoint=checkpoint,
            checkpoint_seconds=self.checkpoint_seconds,
        )

    @property
    def _precision(self) -> str:
        return self.precision or ("fp32" if self.device == "cpu" else "bf16")

    def _suited(self, info: DataInfo) -> Recipe:
        return self.recipe if info.mirrored else self.recipe.without_flips()

    def _recipe(self, fidelity: Fidelity, info: DataInfo) -> dict[str, Any]:
        return {
            **self._suited(info).as_dict(),
            "start": self.start,
            "reg_max": self.proxy_reg_max(fidelity.imgsz),
            "fraction": fidelity.fraction,
            **({"folds": self.folds, "fold_groups": self.fold_groups} if self.folds else {}),
        }

    def start_weights(self) -> Any:
        """The state dict that a training starts from; None for shared initial weights."""
        if self.start == "scratch":
            return None
        if self.start == "weights":
            from nas_attn.detector.model.base_model import load_base
            from nas_attn.detector.weights.checkpoint_rows import checkpoint_state

            return checkpoint_state(load_base(str(self.weights)), self.final_base()[0])
        from nas_attn.detector.proxy.checkpoint import load

        state = load(Path(str(self.base_file)), "base")
        if state is None:
            raise EvaluationFailed(f"'{self.base_file}' holds no trained base")
        return state["weights"]


def _prepare() -> None:
    from nas_attn.environment import prepare

    prepare()


def _cache_folder() -> Path:
    from nas_attn.environment import cache_root

    return cache_root() / "images"


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "ultralytics")} | {"nas_attn": __version__}
