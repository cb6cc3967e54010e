"""The kinds of records in a record log, with the fields of each kind and their types.

Unknown fields are ignored, so that logs of later versions can be read. Fields that earlier versions did not write have
a default. These classes only check a record: the reader returns it as it was written.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from nas_attn.space import Architecture
from nas_attn.study.config import StudyConfig


@lru_cache(maxsize=65536)
def parsed(text: str) -> Architecture:
    """The architecture that a text in a record means. Results are cached: a study repeats the same texts.

    Raises:
        GrammarError: the text is not an architecture.
    """
    return Architecture.parse(text)


def checked(text: str) -> Architecture:
    """The architecture that a text means, like `parsed`, but with the error type that pydantic expects.

    Raises:
        ValueError: the text is not an architecture.
    """
    try:
        return parsed(text)
    except Exception as error:  # besides GrammarError, a damaged text can cause errors of Python itself
        raise ValueError(str(error)) from None


Share = Annotated[float, Field(ge=-1, le=2, allow_inf_nan=False)]  # a mAP, or a difference of two
Finite = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Written = Annotated[str, AfterValidator(checked)]  # an architecture


class RecordFields(BaseModel):
    """Base class of the record kinds: types are strict, unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Config(StudyConfig):
    """The configuration in a record; a later version may have written more fields."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)

    name: str = ""
    ablation: dict[str, Any] | None = None  # type: ignore[assignment]


class _Fingerprints(RecordFields):
    data: str | None = None
    space: str | None = None
    base: str | None = None
    weights: str | None = None
    modules: dict[str, str] = {}
    layers: dict[str, str] = {}


class _Data(RecordFields):
    path: str = ""
    train: Count = 0
    val: Count = 0
    test: Count = 0
    words: str = ""


class _Ablation(RecordFields):
    name: str
    full: Written
    seed: Count


class _Study(RecordFields):
    config: _Config
    name: str = ""
    id: str = ""
    version: str = ""
    base: str = ""
    task: str = "detect"
    objective: str = ""
    notes: list[str] = []
    classes: list[str] = []
    data: _Data = _Data()
    space_slots: list[Annotated[list[str | int | list[Any] | None], Field(min_length=1)]] = []
    space_size: int = 0
    named: list[str] = []
    aliases: dict[str, dict[str, str]] = {}
    base_cost: dict[str, Finite] = {}
    proxy_reg_max: int | None = None
    fingerprints: _Fingerprints = _Fingerprints()
    file: dict[str, Any] = {}
    source: str = ""
    begun: str = ""
    ablation: _Ablation | None = None


class _Target(RecordFields):
    trials: Count


class _Slots(RecordFields):
    model: str | None = None
    intact: Share | None
    zeroed: dict[str, Share] = {}
    drop: dict[str, Share] = {}
    live: list[str] = []
    threshold: Finite = 0.0
    least: Finite = 0.0
    searched: list[str] = []
    control: Written | None = None


class _Sampled(RecordFields):
    params: dict[str, str | bool | int | float | None] = {}
    attributes: dict[str, int] = {}


class _Trial(RecordFields):
    number: Count
    role: str
    architecture: Written
    seed: Count
    sampled: _Sampled | None = None
    model: str | None = None


class _Cost(RecordFields):
    gmacs: Finite
    gmacs_fvcore_default: Finite | None = None
    gflops_ultralytics: Finite | None = None
    gflops_torch: Finite | None = None
    params_m: Finite | None = None


class _Started(_Trial):
    cost: _Cost
    group: Count | None = None


class _Refused(_Trial):
    cost: dict[str, Finite]
    reason: str = ""
    violation: Finite = 0.0


class _Together(RecordFields):
    group: str
    size: Annotated[int, Field(ge=1, lt=2**53)]
    rows: Count


class _Evaluation(RecordFields):
    map50_95: Share
    map50: Share
    curve: list[dict[str, float | None]]
    seconds: Finite
    seed: Count
    epochs: Count
    imgsz: Count
    steps_seconds: Finite = 0.0
    val_seconds: Finite = 0.0
    flags: list[str]
    test_map50_95: Share | None = None
    liveness: dict[str, Share] | None = None
    recipe: dict[str, Any] = {}
    device: str = "cpu"
    precision: str = "fp32"
    versions: dict[str, str] = {}
    transferred: Finite | None = None
    task: str = "detect"
    together: _Together | None = None

    @model_validator(mode="after")
    def _epochs_stand(self) -> _Evaluation:
        if any(row.get("epoch") is None for row in self.curve):
            raise ValueError("a row of `curve` needs its `epoch`")
        return self


class _Evidence(_Started):
    origin: str
    source: str
    evaluation: _Evaluation


class _Finished(RecordFields):
    number: Count
    state: Literal["complete", "failed"]
    reason: str = ""
    evaluation: _Evaluation | None = None

    @model_validator(mode="after")
    def _complete_has_scores(self) -> _Finished:
        if self.state == "complete" and self.evaluation is None:
            raise ValueError("a complete trial needs its `evaluation`")
        return self


class _ModelHeader(RecordFields):
    base: str
    base_cost: dict[str, Finite] = {}
    aliases: dict[str, dict[str, str]] = {}


class _Model(RecordFields):
    model: str
    header: _ModelHeader


class _Design(RecordFields):
    design: dict[str, Any]
    looks: dict[str, Any]
    settings: dict[str, Any]


KINDS: dict[str, type[RecordFields]] = {
    "study": _Study,
    "target": _Target,
    "slots": _Slots,
    "started": _Started,
    "evidence": _Evidence,
    "refused": _Refused,
    "finished": _Finished,
    "model": _Model,
    "design": _Design,
}
