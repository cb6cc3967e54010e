"""The configuration of a study, as one checked value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nas_attn import folder_names
from nas_attn.atomic_files import is_file
from nas_attn.detector.model.shipped_models import is_named
from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.space.architecture import Architecture, module_name
from nas_attn.study.ablation_config import KINDS, AblationConfig
from nas_attn.study.broken_rules import broken_rule
from nas_attn.study.sampler_table import KNOWN_COST, SAMPLERS
from nas_attn.study.settled import SETTLED, TRIALS
from nas_attn.study.storage_url import StorageUrl, masked

DEFAULT = "demo"
MAY_CHANGE = {  # fields that may change when a study is continued
    "module_files", "layers", "first", "trials", "hours", "until", "earlier", "early_stop", "together", "trial_minutes",
    "max_gmacs", "max_params", "storage", "device", "jobs", "test", "ablation",
}  # fmt: skip
LEAST_MINUTES = 0.01  # per trial; a process needs longer than this to start


class StudyConfig(BaseModel):
    """The settings of a study: a study YAML may hold them, and the command line may override them.

    The fields in `MAY_CHANGE` may get new values each time the study is continued. All other fields
    identify the search, so they must stay the same. The description of a field is also the help text of its option.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(DEFAULT, description="Name of the run folder.")
    demo: bool = Field(False, description="Train on generated data; its ranking does not carry over to real data.")
    data: str | None = Field(None, description="A data.yaml, or the name of one that Ultralytics ships, e.g. VOC.yaml.")
    model: str = Field("yolo11n.yaml", description="Base model, e.g. yolo11n.yaml or yolov8s.yaml.")
    width: float | None = Field(None, gt=0, le=2, description="Width factor of the base model. [the model's]")
    start: Literal["scratch", "weights", "base"] = Field(
        "scratch",
        description="Start of every trial: scratch, weights, or base (train the base once, continue from it).",
    )
    weights: str | None = Field(
        None,
        description="Checkpoint from which every trial starts: a file, or a known name, e.g. yolo11n.pt.",
    )
    space: str = Field("neck", description="Search space: the name of a shipped one, or a path to a YAML file.")
    modules: dict[str, dict[str, list[Any]] | None] | None = Field(
        None, description="Modules to search, e.g. acmix,lska; or a Python file with your own modules."
    )
    module_files: list[str] | None = Field(
        None, description="Python file with your own attention modules; may be repeated."
    )
    layers: list[str] | None = Field(
        None, description="Python file with your own layers, which rows of the model YAML name; may be repeated."
    )
    slots: list[str] | None = Field(
        None, description="Slots to search, e.g. p3,td.p4; or name patterns, e.g. 'p?,inner.*'."
    )
    sampler: str = Field(KNOWN_COST, description=f"Sampler: {', '.join(SAMPLERS[:-1])} or {SAMPLERS[-1]}.")
    seed: int = Field(0, ge=0, lt=2**31, description="First seed.")
    control_seeds: int = Field(
        2, ge=1, le=100, description="Least number of seeds per control; more are trained when a decision needs them."
    )
    epochs: int = Field(15, ge=1, lt=2**53, description="Epochs per proxy run. [15; the demo: 12]")
    imgsz: int = Field(320, ge=32, lt=2**53, description="Image size of proxy runs, pixels. [320; the demo: 128]")
    fraction: float = Field(1.0, gt=0, le=1, description="Share of the training images to use.")
    folds: int | None = Field(
        None,
        ge=2,
        le=1000,
        description="Number of folds: each seed gets its own split of train and val together. [the data's split]",
    )
    fold_groups: str | None = Field(
        None,
        description="Images that stay in one fold: their names share the part in parentheses, e.g. '(scene\\d+)_'.",
    )
    final_imgsz: int = Field(
        640, ge=32, lt=2**53, description="Image size of the final training, pixels; costs are counted at it."
    )
    batch: int = Field(8, ge=1, lt=2**53, description="Images per training step.")
    lr0: float = Field(0.002, gt=0, description="Highest learning rate; it decays to 0 at the last step.")
    precision: Literal["fp32", "bf16"] | None = Field(
        None, description="Precision of training: fp32 or bf16. [bf16 on a GPU, fp32 on the CPU]"
    )
    dead_slots: Literal["skip", "keep"] = Field("skip", description="skip or keep slots that the base does not use.")
    live_threshold: float = Field(
        0.003,
        ge=0,
        description="A slot is live if zeroing its output costs at least this mAP50-95, or 2 % of the base's.",
    )

    first: list[str] = Field(
        default_factory=list,
        description="Architecture to train first, e.g. 'p3=acmix p5=lska'; may be repeated.",
    )
    trials: int = Field(100, ge=1, lt=2**53, description="Number of trials of the whole study, controls included.")
    hours: float | None = Field(None, gt=0, description="Start no new trial after this many hours.")
    until: Literal["trials", "settled"] = Field(
        "trials",
        description="End of the search: trials, or settled (20 more trials are expected to change nothing; without "
        f"--trials, at most {TRIALS}).",
    )
    earlier: str | None = Field(
        None, description="Study whose trials count as evidence: same base, data, recipe and epochs."
    )
    early_stop: Literal["safe", "fast", "off"] = Field(
        "safe", description="Stop trials that would stay below the front: safe, fast (risks more) or off."
    )
    together: int = Field(
        1,
        ge=1,
        le=64,
        description="Most architectures in one run, e.g. 8, while such runs tell more per second. 1: each alone.",
    )
    trial_minutes: float | None = Field(
        None,
        gt=0,
        description="Stop a trial after this many minutes; it counts as failed. "
        "[ten times the slowest base trial, at least 10]",
    )
    max_gmacs: float | None = Field(
        None, gt=0, description="Limit in GMACs; architectures above it are refused before training."
    )
    max_params: float | None = Field(
        None, gt=0, description="Limit in million parameters; architectures above it are refused before training."
    )
    storage: StorageUrl | None = Field(
        None, description="URL of the Optuna storage. [NAS_ATTN_STORAGE, or SQLite in the run folder]"
    )
    device: str | None = Field(None, description="cpu, cuda, or GPU indices, e.g. 0,1. [all GPUs, else the CPU]")
    jobs: int | None = Field(
        None, ge=1, le=1024, description="Trials that run at the same time. [auto: one per GPU, or one per CPU core]"
    )
    test: bool = Field(True, description="Also score the test split, if data.yaml has one.")
    ablation: AblationConfig | None = Field(None, description="Settings of `ablate`; a search ignores them.")

    @field_validator("jobs", mode="before")
    @classmethod
    def _automatic(cls, value: Any) -> Any:
        return None if value == "auto" else value

    @field_validator("first", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        several = list(value) if isinstance(value, list | tuple) else [value]
        return [str(a) if isinstance(a, Architecture) else a for a in several]

    @field_validator("modules", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return by_name(value)

    @classmethod
    def of(cls, values: Mapping[str, Any], *, where: str | Mapping[str, str] = "") -> StudyConfig:
        """The configuration that the values make, checked.

        Args:
            values: field name -> value.
            where: the source of all values, or field name -> source. Error messages name it.

        Raises:
            ConfigError: the values break rules; the error lists all of them.
        """

        def source(name: str) -> str:
            return where if isinstance(where, str) else where.get(name, "")

        if values.get("until") == SETTLED and values.get("trials") is None:
            values = {**values, "trials": TRIALS}
        problems: list[UserError] = []
        broken: set[str] = set()
        config = None
        try:
            config = cls.model_validate(dict(values))
        except ValidationError as error:
            problems += [_problem(e, source(str(e["loc"][0]))) for e in error.errors()]
            broken |= {str(e["loc"][0]) for e in error.errors()}
        if config is not None and not folder_names.is_folder_name(config.name):
            rule, remedy = "`name` must be one that a folder can have on every system", f"Use {folder_names.RULE}."
            if (near := folder_names.folder_name(config.name)) and " " in config.name:
                remedy = f"Leave out the spaces, for example {near}."
            problems.append(UserError(rule, got=f"'{config.name}'", where=source("name"), remedy=remedy))
            broken.add("name")
        start, weights = values.get("start", "scratch"), values.get("weights")
        if (sampler := values.get("sampler", KNOWN_COST)) not in SAMPLERS and "sampler" not in broken:
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
            rule = f"`trial_minutes` must be at least {LEAST_MINUTES}, because no trial ends sooner"
            problems.append(UserError(rule, got=config.trial_minutes, where=source("trial_minutes")))
        if not values.get("demo") and not values.get("data"):
            remedy = "Give --data D.yaml; only the demo runs on generated data."
            problems.append(UserError("a study needs `data`", where=source("data"), remedy=remedy))
        if start == "weights" and not weights:
            remedy = "Give --weights FILE."
            problems.append(UserError("`start: weights` needs `weights`", where=source("start"), remedy=remedy))
        if values.get("fold_groups") and not values.get("folds"):
            where_groups, remedy = source("fold_groups"), "Give --folds 3, for example."
            problems.append(UserError("`fold_groups` needs `folds`", where=where_groups, remedy=remedy))
        if weights and start != "weights":
            rule, got = "`weights` needs `start: weights`", f"start: {start}"
            problems.append(UserError(rule, got=got, where=source("start"), remedy="Leave one out."))
        checkpoint = str(weights) == str(values.get("model"))  # it is missed where the model is read
        if weights and not checkpoint and not is_file(str(weights)) and not is_named(str(weights)):
            rule = "the file of `weights` must exist"
            problems.append(UserError(rule, got=f"'{weights}'", where=source("weights")))
        if problems or config is None:
            raise ConfigError(problems, readable=cls._readable(values, broken | {"start", "weights"}))
        return config

    @classmethod
    def _readable(cls, values: Mapping[str, Any], broken: set[str]) -> StudyConfig | None:
        """The configuration without the broken values; None if the remaining values are not valid either."""
        try:
            return cls.model_validate({k: v for k, v in values.items() if k not in broken})
        except ValidationError:
            return None

    def identity(self) -> dict[str, Any]:
        """The fields that must not change when the study is continued, with their values."""
        return self.model_dump(exclude=MAY_CHANGE)


def by_name(modules: Any) -> Any:
    """The mapping that a list of module names means: name -> None; in the names, letters may be large or small."""
    if isinstance(modules, list) and all(isinstance(name, str) for name in modules):
        modules = dict.fromkeys(modules)
    if isinstance(modules, Mapping) and all(isinstance(name, str) for name in modules):
        return {module_name(name): options for name, options in modules.items()}
    return modules


def _problem(error: Any, where: str) -> UserError:
    if error["type"] == "extra_forbidden":
        inner = len(error["loc"]) > 1
        known = AblationConfig.model_fields if inner else StudyConfig.model_fields
        return UnknownName("ablation setting" if inner else "study setting", str(error["loc"][-1]), known, where=where)
    got = repr(error["input"])
    return UserError(broken_rule(error), got=masked(got) if error["loc"][0] == "storage" else got, where=where)
