"""The keywords of `run_search`, `ablate` and `liveness`, with their types. None counts as not given.

Written by `python tests/support/typed_options.py` from fields of `StudyConfig` and `AblationConfig`; a test compares.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from nas_attn.space import Architecture
from nas_attn.study.trial import Candidate


class SearchOptions(TypedDict, total=False):
    """Options of a search."""

    data: str | Path | None
    """data.yaml, or one that Ultralytics ships, such as VOC.yaml."""

    model: str | Path | None
    """Base model, e.g. yolo11n.yaml or yolov8s.yaml."""

    width: float | None
    """Width factor, in place of the scale's own."""

    start: Literal["scratch", "weights", "base"] | None
    """scratch, weights, or base (train the base once, then go on from it)."""

    weights: str | Path | None
    """Checkpoint to start every trial from."""

    space: str | Path | None
    """Search space: a shipped name or a YAML path."""

    modules: str | Sequence[str] | Mapping[str, Mapping[str, Sequence[Any]] | None] | None
    """Modules to search, e.g. acmix,lska; or a Python file with your own."""

    module_files: str | Path | Sequence[str | Path] | None
    """Python file with attention modules of your own; may be repeated."""

    slots: str | Sequence[str] | None
    """Slots, e.g. p3,td.p4; or patterns of names, e.g. 'p?,inner.*'."""

    sampler: str | None
    """tpe, gp, nsga2 or random."""

    seed: int | None
    """First seed."""

    control_seeds: int | None
    """Seeds of each control."""

    epochs: int | None
    """Epochs of a proxy run."""

    imgsz: int | None
    """Image size of the proxy, pixels."""

    fraction: float | None
    """Share of the training images used."""

    final_imgsz: int | None
    """Image size of the final training and of costs, pixels."""

    batch: int | None
    """Images per training step."""

    lr0: float | None
    """Highest learning rate; it falls to 0 by the last step."""

    precision: Literal["fp32", "bf16"] | None
    """fp32 or bf16. [bf16 on a GPU, fp32 on the CPU]"""

    dead_slots: Literal["skip", "keep"] | None
    """skip or keep slots that the base does not use."""

    live_threshold: float | None
    """Least mAP50-95 that is lost if a live slot is zeroed."""

    trials: int | None
    """Trials of the whole study, controls included."""

    hours: float | None
    """Start no new trial after this many hours."""

    trial_minutes: float | None
    """A trial that takes longer is stopped and fails. [ten times the base's own time, at least 10]"""

    max_gmacs: float | None
    """Refuse costlier architectures before training."""

    max_params: float | None
    """The same, in million parameters."""

    storage: str | None
    """Optuna storage. [NAS_ATTN_STORAGE, or SQLite in the run folder]"""

    device: str | int | Sequence[int] | None
    """cpu, cuda, or GPU indices such as 0,1. [GPUs if any]"""

    jobs: int | None
    """Trials at a time. [one per GPU, or one per core]"""

    test: bool | None
    """Score the test split too, if data.yaml has one."""


class AblationOptions(TypedDict, total=False):
    """Options of an ablation."""

    base: str | Architecture | Candidate | None
    """Architecture, in place of the study's winner."""

    pick: str | None
    """best, knee or trial:N of the study. [best]"""

    kinds: str | Sequence[str] | None
    """leave-one-out, add-one-in, swap, sweep, placement, scale; only if named: factorial, a/a. [the first six]"""

    arms: Sequence[str | Architecture | Candidate] | None
    """A further architecture; may be repeated."""

    controls: bool | None
    """Also train plain convolutions in place of attention."""

    seeds: int | None
    """Seeds of every arm."""

    seed: int | None
    """First seed. [one that the search did not use]"""

    epochs: int | None
    """Epochs of a trial. [the study's]"""

    imgsz: int | None
    """Image size, pixels. [the study's]"""

    fraction: float | None
    """Share of the training images. [the study's]"""

    batch: int | None
    """Images per training step. [the study's]"""

    scales: str | Sequence[str] | None
    """Larger scales of the base for `scale`. [the next two]"""

    hours: float | None
    """Let results decide the number of seeds; start no new trial after this many hours."""

    max_seeds: int | None
    """Most seeds, if results decide their number. [20]"""

    difference: float | None
    """Smallest difference in mAP50-95 that matters."""

    dead_slots: Literal["skip", "keep"] | None
    """skip or keep arms that differ in dead slots only. [the study's]"""

    data: str | Path | None
    """data.yaml, or one that Ultralytics ships, such as VOC.yaml."""

    model: str | Path | None
    """Base model, e.g. yolo11n.yaml or yolov8s.yaml."""

    width: float | None
    """Width factor, in place of the scale's own."""

    start: Literal["scratch", "weights", "base"] | None
    """scratch, weights, or base (train the base once, then go on from it)."""

    weights: str | Path | None
    """Checkpoint to start every trial from."""

    space: str | Path | None
    """Search space: a shipped name or a YAML path."""

    modules: str | Sequence[str] | Mapping[str, Mapping[str, Sequence[Any]] | None] | None
    """Modules to search, e.g. acmix,lska; or a Python file with your own."""

    module_files: str | Path | Sequence[str | Path] | None
    """Python file with attention modules of your own; may be repeated."""

    slots: str | Sequence[str] | None
    """Slots, e.g. p3,td.p4; or patterns of names, e.g. 'p?,inner.*'."""

    final_imgsz: int | None
    """Image size of the final training and of costs, pixels."""

    lr0: float | None
    """Highest learning rate; it falls to 0 by the last step."""

    precision: Literal["fp32", "bf16"] | None
    """fp32 or bf16. [bf16 on a GPU, fp32 on the CPU]"""

    live_threshold: float | None
    """Least mAP50-95 that is lost if a live slot is zeroed."""

    trial_minutes: float | None
    """A trial that takes longer is stopped and fails. [ten times the base's own time, at least 10]"""

    device: str | int | Sequence[int] | None
    """cpu, cuda, or GPU indices such as 0,1. [GPUs if any]"""

    jobs: int | None
    """Trials at a time. [one per GPU, or one per core]"""

    test: bool | None
    """Score the test split too, if data.yaml has one."""


class LivenessOptions(TypedDict, total=False):
    """Options of a measurement of slots."""

    data: str | Path | None
    """data.yaml, or one that Ultralytics ships, such as VOC.yaml."""

    model: str | Path | None
    """Base model, e.g. yolo11n.yaml or yolov8s.yaml."""

    width: float | None
    """Width factor, in place of the scale's own."""

    weights: str | Path | None
    """Checkpoint to start every trial from."""

    start: Literal["scratch", "weights", "base"] | None
    """scratch, weights, or base (train the base once, then go on from it)."""

    slots: str | Sequence[str] | None
    """Slots, e.g. p3,td.p4; or patterns of names, e.g. 'p?,inner.*'."""

    module_files: str | Path | Sequence[str | Path] | None
    """Python file with attention modules of your own; may be repeated."""

    seed: int | None
    """First seed."""

    epochs: int | None
    """Epochs of a proxy run."""

    imgsz: int | None
    """Image size of the proxy, pixels."""

    fraction: float | None
    """Share of the training images used."""

    final_imgsz: int | None
    """Image size of the final training and of costs, pixels."""

    batch: int | None
    """Images per training step."""

    lr0: float | None
    """Highest learning rate; it falls to 0 by the last step."""

    precision: Literal["fp32", "bf16"] | None
    """fp32 or bf16. [bf16 on a GPU, fp32 on the CPU]"""

    live_threshold: float | None
    """Least mAP50-95 that is lost if a live slot is zeroed."""

    device: str | int | Sequence[int] | None
    """cpu, cuda, or GPU indices such as 0,1. [GPUs if any]"""

    jobs: int | None
    """Trials at a time. [one per GPU, or one per core]"""

    trial_minutes: float | None
    """A trial that takes longer is stopped and fails. [ten times the base's own time, at least 10]"""
