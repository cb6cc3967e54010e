"""What a study does, as one checked value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nas_attn.atomic_files import is_file
from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.study.ablation_config import KINDS, AblationConfig
from nas_attn.study.storage_url import StorageUrl, masked

DEFAULT = "demo"
SAMPLERS = ("tpe", "gp", "nsga2", "random")
FREE = {  # fields that may change while a study lives
    "module_files", "trials", "hours", "trial_minutes", "max_gmacs", "max_params", "storage", "device", "jobs", "test",
    "ablation",
}  # fmt: skip
LEAST_MINUTES = 0.01  # of a trial: a process does not even start in less


class StudyConfig(BaseModel):
    """Everything that a study YAML may say and a command line may override.

    The fields up to `dead_slots` decide what a trial measures: they cannot change while a study lives. The rest may
    be given anew each time it is continued.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(
        DEFAULT, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run folder"
    )
    demo: bool = Field(False, description="generated data: a demonstration whose ranking means nothing elsewhere")
    data: str | None = Field(None, description="data.yaml, or a name of Ultralytics'; generated if None")
    model: str = Field("yolo11n.yaml", description="base model: an Ultralytics model YAML")
    width: float | None = Field(None, gt=0, le=2, description="width factor in place of the scale's own")
    start: Literal["scratch", "weights", "base"] = Field("scratch", description="what a trial starts from")
    weights: str | None = Field(None, description="checkpoint for `start: weights`")
    space: str = Field("neck", description="search space: a shipped name or a path")
    modules: dict[str, dict[str, list[Any]] | None] | None = Field(None, description="in place of the space's modules")
    module_files: list[str] | None = Field(None, description="Python files with attention modules of one's own")
    slots: list[str] | None = Field(None, description="in place of the space's slots")
    sampler: str = Field("tpe", description="tpe, gp, nsga2 or random")
    seed: int = Field(0, ge=0, lt=2**31, description="first seed; the controls use this one and the following")
    control_seeds: int = Field(3, ge=1, le=100, description="seeds of each control")
    epochs: int = Field(15, ge=1, lt=2**53, description="passes over the data in a proxy run")
    imgsz: int = Field(320, ge=32, lt=2**53, description="image size of the proxy, pixels")
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training images used")
    final_imgsz: int = Field(640, ge=32, lt=2**53, description="image size of the final training, and of costs")
    batch: int = Field(8, ge=1, lt=2**53, description="images a step")
    lr0: float = Field(0.002, gt=0, description="highest learning rate; it falls to 0 by the last step")
    precision: Literal["fp32", "bf16"] | None = Field(None, description="bf16 on GPU and fp32 on CPU where left out")
    dead_slots: Literal["skip", "keep"] = Field("skip", description="what to do with slots that the base does not use")
    live_threshold: float = Field(0.003, ge=0, description="mAP50-95 that zeroing a live slot costs at least")

    trials: int = Field(100, ge=1, lt=2**53, description="trials of the whole study")
    hours: float | None = Field(None, gt=0, description="no new trial is started after this long")
    trial_minutes: float | None = Field(None, gt=0, description="limit of a trial; ten times the base's, at least 10")
    max_gmacs: float | None = Field(None, gt=0, description="costlier architectures are refused before training")
    max_params: float | None = Field(None, gt=0, description="the same, in million parameters")
    storage: StorageUrl | None = Field(None, description="Optuna storage URL; SQLite in the run folder where left out")
    device: str | None = Field(None, description="cpu, cuda, or GPU indices such as 0,1")
    jobs: int | None = Field(None, ge=1, le=1024, description="trials at a time")
    test: bool = Field(True, description="also score the test split where data.yaml has one")
    ablation: AblationConfig | None = Field(None, description="what `ablate` does; a search passes it over")

    @field_validator("modules", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return by_name(value)

    @classmethod
    def of(cls, values: Mapping[str, Any], *, where: str | Mapping[str, str] = "") -> StudyConfig:
        """The configuration of these values.

        Args:
            values: by field name.
            where: where they come from, or field name -> where that one comes from; for messages.

        Raises:
            ConfigError: all that is wrong with them, together.
        """

        def source(name: str) -> str:
            return where if isinstance(where, str) else where.get(name, "")

        problems: list[UserError] = []
        broken: set[str] = set()
        config = None
        try:
            config = cls.model_validate(dict(values))
        except ValidationError as error:
            problems += [_problem(e, source(str(e["loc"][0]))) for e in error.errors()]
            broken |= {str(e["loc"][0]) for e in error.errors()}
        start, weights = values.get("start", "scratch"), values.get("weights")
        if (sampler := values.get("sampler", "tpe")) not in SAMPLERS:
            problems.append(UnknownName("sampler", str(sampler), SAMPLERS, where=source("sampler")))
            broken.add("sampler")
        if config is not None and config.ablation is not None:
            where_kinds = source("ablation")
            problems += [
                UnknownName("kind of comparison", kind, KINDS, where=where_kinds)
                for kind in config.ablation.kinds or ()
                if kind not in KINDS
            ]
        if config is not None and config.trial_minutes is not None and config.trial_minutes < LEAST_MINUTES:
            rule = f"`trial_minutes` must be at least {LEAST_MINUTES}, for no trial ends sooner"
            problems.append(UserError(rule, got=config.trial_minutes, where=source("trial_minutes")))
        if not values.get("demo") and not values.get("data"):
            remedy = "Give --data D.yaml; only the demo runs on generated data."
            problems.append(UserError("a study needs `data`", where=source("data"), remedy=remedy))
        if start == "weights" and not weights:
            remedy = "Give --weights FILE."
            problems.append(UserError("`start: weights` needs `weights`", where=source("start"), remedy=remedy))
        if weights and start != "weights":
            rule, got = "`weights` goes with `start: weights`", f"start: {start}"
            problems.append(UserError(rule, got=got, where=source("start"), remedy="Leave one out."))
        if weights and not is_file(str(weights)):
            rule = "the file of `weights` must exist"
            problems.append(UserError(rule, got=f"'{weights}'", where=source("weights")))
        if problems or config is None:
            raise ConfigError(problems, readable=cls._readable(values, broken | {"start", "weights"}))
        return config

    @classmethod
    def _readable(cls, values: Mapping[str, Any], broken: set[str]) -> StudyConfig | None:
        """What is left without the broken values; None where that is not enough."""
        try:
            return cls.model_validate({k: v for k, v in values.items() if k not in broken})
        except ValidationError:
            return None

    def identity(self) -> dict[str, Any]:
        """The part that cannot change while a study lives; of files, it is their content."""
        return self.model_dump(exclude=FREE)


def by_name(modules: Any) -> Any:
    """A list of module names as the mapping that it stands for; anything else as it is."""
    listed = isinstance(modules, list) and all(isinstance(name, str) for name in modules)
    return dict.fromkeys(modules) if listed else modules


def _problem(error: Any, where: str) -> UserError:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        inner = len(error["loc"]) > 1
        known = AblationConfig.model_fields if inner else StudyConfig.model_fields
        return UnknownName("ablation setting" if inner else "study setting", str(error["loc"][-1]), known, where=where)
    message = error["msg"].removeprefix("Input ").removeprefix("should ")
    got = repr(error["input"])
    got = masked(got) if name == "storage" else got
    return UserError(f"`{name}` must {_infinitive(message)}", got=got, where=where)


def _infinitive(message: str) -> str:
    return message if message.startswith(("be ", "match")) else f"hold: {message}"
