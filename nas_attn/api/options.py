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
    """A data.yaml, or the name of one that Ultralytics ships, e.g. VOC.yaml."""

    model: str | Path | None
    """Base model, e.g. yolo11n.yaml or yolov8s.yaml."""

    width: float | None
    """Width factor of the base model. [the model's]"""

    start: Literal["scratch", "weights", "base"] | None
    """Start of every trial: scratch, weights, or base (train the base once, continue from it)."""

    weights: str | Path | None
    """Checkpoint from which every trial starts: a file, or a known name, e.g. yolo11n.pt."""

    space: str | Path | None
    """Search space: the name of a shipped one, or a path to a YAML file."""

    modules: str | Sequence[str] | Mapping[str, Mapping[str, Sequence[Any]] | None] | None
    """Modules to search, e.g. acmix,lska; or a Python file with your own modules."""

    module_files: str | Path | Sequence[str | Path] | None
    """Python file with your own attention modules; may be repeated."""

    layers: str | Path | Sequence[str | Path] | None
    """Python file with your own layers, which rows of the model YAML name; may be repeated."""

    slots: str | Sequence[str] | None
    """Slots to search, e.g. p3,td.p4; or name patterns, e.g. 'p?,inner.*'."""

    sampler: str | None
    """Sampler: known-cost, tpe, gp, nsga2 or random."""

    seed: int | None
    """First seed."""

    control_seeds: int | None
    """Least number of seeds per control; more are trained when a decision needs them."""

    epochs: int | None
    """Epochs per proxy run. [15; the demo: 12]"""

    imgsz: int | None
    """Image size of proxy runs, pixels. [320; the demo: 128]"""

    fraction: float | None
    """Share of the training images to use."""

    folds: int | None
    """Number of folds: each seed gets its own split of train and val together. [the data's split]"""

    fold_groups: str | None
    """Images that stay in one fold: their names share the part in parentheses, e.g. '(scene\d+)_'."""

    final_imgsz: int | None
    """Image size of the final training, pixels; costs are counted at it."""

    batch: int | None
    """Images per training step."""

    lr0: float | None
    """Highest learning rate; it decays to 0 at the last step."""

    precision: Literal["fp32", "bf16"] | None
    """Precision of training: fp32 or bf16. [bf16 on a GPU, fp32 on the CPU]"""

    dead_slots: Literal["skip", "keep"] | None
    """skip or keep slots that the base does not use."""

    live_threshold: float | None
    """A slot is live if zeroing its output costs at least this mAP50-95, or 2 % of the base's."""

    first: str | Sequence[str | Architecture] | None
    """Architecture to train first, e.g. 'p3=acmix p5=lska'; may be repeated."""

    trials: int | None
    """Number of trials of the whole study, controls included."""

    hours: float | None
    """Start no new trial after this many hours."""

    until: Literal["trials", "settled"] | None
    """End of the search: trials, or settled (20 more trials are expected to change nothing; without --trials, at most 1000)."""

    earlier: str | Path | None
    """Study whose trials count as evidence: same base, data, recipe and epochs."""

    early_stop: Literal["safe", "fast", "off"] | None
    """Stop trials that would stay below the front: safe, fast (risks more) or off."""

    together: int | None
    """Most architectures in one run, e.g. 8, while such runs tell more per second. 1: each alone."""

    trial_minutes: float | None
    """Stop a trial after this many minutes; it counts as failed. [ten times the slowest base trial, at least 10]"""

    max_gmacs: float | None
    """Limit in GMACs; architectures above it are refused before training."""

    max_params: float | None
    """Limit in million parameters; architectures above it are refused before training."""

    storage: str | None
    """URL of the Optuna storage. [NAS_ATTN_STORAGE, or SQLite in the run folder]"""

    device: str | int | Sequence[int] | None
    """cpu, cuda, or GPU indices, e.g. 0,1. [all GPUs, else the CPU]"""

    jobs: int | None
    """Trials that run at the same time. [auto: one per GPU, or one per CPU core]"""

    test: bool | None
    """Also score the test split, if data.yaml has one."""


class AblationOptions(TypedDict, total=False):
    """Options of an ablation."""

    base: str | Architecture | Candidate | None
    """Architecture to ablate, instead of the study's winner."""

    pick: str | None
    """Candidate to ablate: best, knee, simplest or trial:N. [best]"""

    kinds: str | Sequence[str] | None
    """Kinds of comparison: leave-one-out, add-one-in, swap, sweep, placement, scale, factorial, a/a. [the first two]"""

    arms: Sequence[str | Architecture | Candidate] | None
    """A further architecture to train; may be repeated."""

    controls: bool | None
    """Also train plain convolutions in place of attention."""

    seeds: int | None
    """Number of seeds per arm."""

    seed: int | None
    """First seed. [one that the search did not use]"""

    epochs: int | None
    """Epochs per trial. [the study's]"""

    imgsz: int | None
    """Image size, pixels. [the study's]"""

    fraction: float | None
    """Share of the training images to use. [the study's]"""

    batch: int | None
    """Images per training step. [the study's]"""

    scales: str | Sequence[str] | None
    """Larger scales of the base, for the kind `scale`. [the next two]"""

    hours: float | None
    """Let the results decide the number of seeds; start no new trial after this many hours."""

    max_seeds: int | None
    """Let the results decide the number of seeds, up to this many. [20 with `hours`]"""

    difference: float | None
    """Smallest difference in mAP50-95 that matters."""

    dead_slots: Literal["skip", "keep"] | None
    """skip or keep arms that differ only in dead slots. [the study's]"""

    data: str | Path | None
    """A data.yaml, or the name of one that Ultralytics ships, e.g. VOC.yaml."""

    model: str | Path | None
    """Base model, e.g. yolo11n.yaml or yolov8s.yaml."""

    width: float | None
    """Width factor of the base model. [the model's]"""

    start: Literal["scratch", "weights", "base"] | None
    """Start of every trial: scratch, weights, or base (train the base once, continue from it)."""

    weights: str | Path | None
    """Checkpoint from which every trial starts: a file, or a known name, e.g. yolo11n.pt."""

    space: str | Path | None
    """Search space: the name of a shipped one, or a path to a YAML file."""

    modules: str | Sequence[str] | Mapping[str, Mapping[str, Sequence[Any]] | None] | None
    """Modules to search, e.g. acmix,lska; or a Python file with your own modules."""

    module_files: str | Path | Sequence[str | Path] | None
    """Python file with your own attention modules; may be repeated."""

    layers: str | Path | Sequence[str | Path] | None
    """Python file with your own layers, which rows of the model YAML name; may be repeated."""

    slots: str | Sequence[str] | None
    """Slots to search, e.g. p3,td.p4; or name patterns, e.g. 'p?,inner.*'."""

    folds: int | None
    """Number of folds: each seed gets its own split of train and val together. [the data's split]"""

    fold_groups: str | None
    """Images that stay in one fold: their names share the part in parentheses, e.g. '(scene\d+)_'."""

    final_imgsz: int | None
    """Image size of the final training, pixels; costs are counted at it."""

    lr0: float | None
    """Highest learning rate; it decays to 0 at the last step."""

    precision: Literal["fp32", "bf16"] | None
    """Precision of training: fp32 or bf16. [bf16 on a GPU, fp32 on the CPU]"""

    live_threshold: float | None
    """A slot is live if zeroing its output costs at least this mAP50-95, or 2 % of the base's."""

    until: Literal["trials", "settled"] | None
    """End of the search: trials, or settled (20 more trials are expected to change nothing; without --trials, at most 1000)."""

    earlier: str | Path | None
    """Study whose trials count as evidence: same base, data, recipe and epochs."""

    early_stop: Literal["safe", "fast", "off"] | None
    """Stop trials that would stay below the front: safe, fast (risks more) or off."""

    together: int | None
    """Most architectures in one run, e.g. 8, while such runs tell more per second. 1: each alone."""

    trial_minutes: float | None
    """Stop a trial after this many minutes; it counts as failed. [ten times the slowest base trial, at least 10]"""

    device: str | int | Sequence[int] | None
    """cpu, cuda, or GPU indices, e.g. 0,1. [all GPUs, else the CPU]"""

    jobs: int | None
    """Trials that run at the same time. [auto: one per GPU, or one per CPU core]"""

    test: bool | None
    """Also score the test split, if data.yaml has one."""


class LivenessOptions(TypedDict, total=False):
    """Options of a measurement of slots."""

    data: str | Path | None
    """A data.yaml, or the name of one that Ultralytics ships, e.g. VOC.yaml."""

    model: str | Path | None
    """Base model, e.g. yolo11n.yaml or yolov8s.yaml."""

    width: float | None
    """Width factor of the base model. [the model's]"""

    weights: str | Path | None
    """Checkpoint from which every trial starts: a file, or a known name, e.g. yolo11n.pt."""

    start: Literal["scratch", "weights", "base"] | None
    """Start of every trial: scratch, weights, or base (train the base once, continue from it)."""

    slots: str | Sequence[str] | None
    """Slots to search, e.g. p3,td.p4; or name patterns, e.g. 'p?,inner.*'."""

    module_files: str | Path | Sequence[str | Path] | None
    """Python file with your own attention modules; may be repeated."""

    layers: str | Path | Sequence[str | Path] | None
    """Python file with your own layers, which rows of the model YAML name; may be repeated."""

    seed: int | None
    """First seed."""

    epochs: int | None
    """Epochs per proxy run. [15; the demo: 12]"""

    imgsz: int | None
    """Image size of proxy runs, pixels. [320; the demo: 128]"""

    fraction: float | None
    """Share of the training images to use."""

    final_imgsz: int | None
    """Image size of the final training, pixels; costs are counted at it."""

    batch: int | None
    """Images per training step."""

    lr0: float | None
    """Highest learning rate; it decays to 0 at the last step."""

    precision: Literal["fp32", "bf16"] | None
    """Precision of training: fp32 or bf16. [bf16 on a GPU, fp32 on the CPU]"""

    live_threshold: float | None
    """A slot is live if zeroing its output costs at least this mAP50-95, or 2 % of the base's."""

    device: str | int | Sequence[int] | None
    """cpu, cuda, or GPU indices, e.g. 0,1. [all GPUs, else the CPU]"""

    jobs: int | None
    """Trials that run at the same time. [auto: one per GPU, or one per CPU core]"""

    trial_minutes: float | None
    """Stop a trial after this many minutes; it counts as failed. [ten times the slowest base trial, at least 10]"""
