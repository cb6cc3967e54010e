"""What a study does, as one checked value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.study import shipped

DEFAULT = "demo"
SAMPLERS = ("tpe", "gp", "nsga2", "random")


class StudyConfig(BaseModel):
    """Everything that a study YAML may say and a command line may override.

    The fields up to `dead_slots` decide what a trial measures: they cannot change while a study lives. The rest may
    be given anew each time it is continued.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(DEFAULT, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run folder")
    demo: bool = Field(False, description="generated data: a demonstration whose ranking means nothing elsewhere")
    data: str | None = Field(None, description="path of a data.yaml; the generated data set where left out")
    model: str = Field("yolo11n.yaml", description="base model: an Ultralytics model YAML")
    width: float | None = Field(None, gt=0, le=2, description="width factor in place of the scale's own")
    start: Literal["scratch", "weights", "base"] = Field("scratch", description="what a trial starts from")
    weights: str | None = Field(None, description="checkpoint for `start: weights`")
    space: str = Field("neck", description="search space: a shipped name or a path")
    modules: dict[str, dict[str, list[Any]] | None] | None = Field(None, description="in place of the space's modules")
    slots: list[str] | None = Field(None, description="in place of the space's slots")
    sampler: str = Field("tpe", description="tpe, gp, nsga2 or random")
    seed: int = Field(0, ge=0, lt=2**31, description="first seed; the controls use this one and the following")
    control_seeds: int = Field(3, ge=1, le=100, description="seeds of each control")
    epochs: int = Field(15, ge=1, description="passes over the data in a proxy run")
    imgsz: int = Field(320, ge=32, description="image size of the proxy, pixels")
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training images used")
    final_imgsz: int = Field(640, ge=32, description="image size of the final training: what cost is counted at")
    batch: int = Field(8, ge=1, description="images a step")
    lr0: float = Field(0.002, gt=0, description="highest learning rate; it falls to 0 by the last step")
    precision: Literal["fp32", "bf16"] | None = Field(None, description="bf16 on GPU and fp32 on CPU where left out")
    dead_slots: Literal["skip", "keep"] = Field("skip", description="what to do with slots that the base does not use")
    live_threshold: float = Field(0.003, ge=0, description="mAP50-95 that zeroing a live slot costs at least")

    trials: int = Field(100, ge=1, description="trials of the whole study")
    hours: float | None = Field(None, gt=0, description="no new trial is started after this long")
    max_gmacs: float | None = Field(None, gt=0, description="costlier architectures are refused before training")
    max_params: float | None = Field(None, gt=0, description="the same, in million parameters")
    storage: str | None = Field(None, description="Optuna storage URL; SQLite in the run folder where left out")
    device: str | None = Field(None, description="cpu, cuda, or GPU indices such as 0,1")
    jobs: int | None = Field(None, ge=1, le=1024, description="trials at a time")
    test: bool = Field(True, description="also score the test split where data.yaml has one")

    @classmethod
    def of(cls, values: Mapping[str, Any], *, where: str = "") -> StudyConfig:
        """The configuration of these values.

        Raises:
            ConfigError: all that is wrong with them, together.
        """
        problems: list[UserError] = []
        config = None
        try:
            config = cls.model_validate(dict(values))
        except ValidationError as error:
            problems += [_problem(e, where) for e in error.errors()]
        if (sampler := values.get("sampler", "tpe")) not in SAMPLERS:
            problems.append(UnknownName("sampler", str(sampler), SAMPLERS, where=where))
        if not values.get("demo") and not values.get("data"):
            remedy = "Give --data D.yaml; only the demo runs on generated data."
            problems.append(UserError("a study needs `data`", where=where, remedy=remedy))
        start, weights = values.get("start", "scratch"), values.get("weights")
        if start == "weights" and not weights:
            problems.append(UserError("`start: weights` needs `weights`", where=where, remedy="Give --weights FILE."))
        if weights and start != "weights":
            problems.append(
                UserError(
                    "`weights` goes with `start: weights`", got=f"start: {start}", where=where, remedy="Leave one out."
                )
            )
        if weights and not Path(str(weights)).is_file():
            problems.append(UserError("the file of `weights` must exist", got=f"'{weights}'", where=where))
        if problems or config is None:
            raise ConfigError(problems, where=where)
        return config

    def identity(self) -> dict[str, Any]:
        """The part that cannot change while a study lives."""
        free = {"trials", "hours", "max_gmacs", "max_params", "storage", "device", "jobs", "test"}
        return self.model_dump(exclude=free)


def load_config(
    study: str | None, overrides: Mapping[str, Any], stored: Mapping[str, Any] | None = None
) -> StudyConfig:
    """The configuration of `search STUDY` with command line overrides.

    Args:
        study: a shipped study's name, a path to a study YAML, or a new name; None for the embedded default.
        overrides: options that were given, by field name; None values count as not given.
        stored: configuration of the study in the run folder, where there is one; it fills what neither says.
    """
    given = {k: v for k, v in overrides.items() if v is not None}
    for name in ("data", "weights"):
        if name in given:  # as typed: relative to where the command runs, which may be elsewhere next time
            given[name] = str(Path(given[name]).resolve())
    if "data" in given:
        given["demo"] = False
    content, where = _file(study_name(study, given.get("data")), study, new=stored is None and "data" not in given)
    if "model" in given and "width" not in given:
        content.pop("width", None)  # a real model is meant at its own width
    unknown: list[UserError] = [
        UnknownName("study setting", k, StudyConfig.model_fields, where=where)
        for k in content
        if k not in StudyConfig.model_fields
    ]
    if unknown:
        rest = {k: v for k, v in content.items() if k in StudyConfig.model_fields}
        try:
            StudyConfig.of({**rest, **given}, where=where)
        except ConfigError as error:
            unknown += error.problems
        raise ConfigError(unknown, where=where)
    if "weights" in given and "start" not in given:
        given["start"] = "weights"
    return StudyConfig.of({**(stored or {}), **content, **given}, where=where or "the command line")


def study_name(study: str | None, data: str | None = None) -> str:
    """The name that `search STUDY --data D` gives to its run folder; without STUDY, the data's, or the default."""
    if study is None:
        folder = Path(data).resolve().parent.name if data else DEFAULT
        return re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip(".-") or DEFAULT
    path = Path(study)
    return path.stem if path.suffix in (".yaml", ".yml") else study


def _file(name: str, study: str | None, *, new: bool) -> tuple[dict[str, Any], str]:
    """Content of the study's YAML and the name to use in errors. A new study without data is the demo by that name."""
    if study is not None and Path(study).suffix in (".yaml", ".yml"):
        path = Path(study)
        content = shipped.read_yaml(path)
        if isinstance(content.get("data"), str) and not Path(content["data"]).is_absolute():
            content["data"] = str(path.parent / content["data"])  # as written: beside the file that says it
        return {"name": name, **content}, str(path)
    if name in shipped.names("studies"):
        return {**shipped.load("studies", name), "name": name}, f"study '{name}'"
    if not new:
        return {"name": name}, ""
    return {**shipped.load("studies", DEFAULT), "name": name}, ""


def _problem(error: Any, where: str) -> UserError:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return UnknownName("study setting", name, StudyConfig.model_fields, where=where)
    message = error["msg"].removeprefix("Input ").removeprefix("should ")
    return UserError(f"`{name.replace('_', '-')}` must {_infinitive(message)}", got=repr(error["input"]), where=where)


def _infinitive(message: str) -> str:
    return message if message.startswith(("be ", "match")) else f"hold: {message}"
