"""Finds and checks everything that a configuration names: data, devices, base model, slots, modules, search space.

All mistakes are reported together. Nothing is trained, and no cost is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nas_attn.atomic_files import is_file
from nas_attn.attention import registry, trust, user
from nas_attn.cost.declared import check as check_costs
from nas_attn.cost.standing import check_places
from nas_attn.data import download
from nas_attn.data.check import DataInfo, check_data
from nas_attn.data.folds import check_folds
from nas_attn.data.named_sets import packaged_data
from nas_attn.detector.model.base_model import BaseModel, load_base
from nas_attn.detector.model.head_form import check_head, unusable_slots
from nas_attn.detector.model.named_checkpoints import fetched
from nas_attn.detector.model.shipped_models import absent as absent_weights
from nas_attn.detector.model.shipped_models import located, yaml_of
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.proxy.train_settings import check_effect, check_settings, check_task
from nas_attn.detector.weights.checkpoint_rows import check_weights
from nas_attn.environment import cache_root, shell_word
from nas_attn.errors import ConfigError, UserError
from nas_attn.evaluate.score import Score
from nas_attn.space import SearchSpace, Slot
from nas_attn.study.config import StudyConfig
from nas_attn.study.devices import workers
from nas_attn.study.folder import RunFolder
from nas_attn.study.mirror import check_storage
from nas_attn.study.recorded_space import options_of, recorded_slots, space_content
from nas_attn.study.space_files import build_space, chosen_slots
from nas_attn.tasks import TASKS, searched_task

T = TypeVar("T")


class _Collector:
    """Runs checks, and collects their errors.

    Args:
        problems: errors that are known already.
    """

    def __init__(self, problems: Iterable[UserError] = ()) -> None:
        self.problems = list(problems)

    def __call__(self, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except ConfigError as error:
            self.problems += error.problems
        except UserError as error:
            self.problems.append(error)
        return None

    def done(self, where: str) -> None:
        """Raise all errors that were collected, as one `ConfigError`; nothing if there are none."""
        if self.problems:
            raise ConfigError({str(p): p for p in self.problems}.values(), where=where)


@dataclass(frozen=True)
class Resolved:
    """Everything that a configuration names, found and checked.

    Attributes:
        data: the data set.
        devices: one entry per worker, as `workers` gives them.
        threads: CPU threads of each worker.
        base: the base model, with the class count of the data.
        slots: the slots to search.
        content: the content of the search space file.
        space: the search space, without regard to cost.
        own: names of the modules in each module file of the user.
        stored: header of the study that is continued; None for a new study.
        train: the training settings of the study, as Ultralytics takes them.
    """

    data: DataInfo
    devices: tuple[str, ...]
    threads: int
    base: BaseModel
    slots: tuple[Slot, ...]
    content: dict[str, Any]
    space: SearchSpace
    own: tuple[tuple[str, ...], ...]
    stored: dict[str, Any] | None = None
    train: Mapping[str, Any] = field(default_factory=dict)


def resolve(
    config: StudyConfig,
    progress: Callable[[str], None],
    folder: RunFolder | None = None,
    problems: Iterable[UserError] = (),
    stored: dict[str, Any] | None = None,
) -> Resolved:
    """Check everything that can be checked without training and without counting cost.

    Data that Ultralytics knows by name is downloaded if it is missing, after all other checks.

    Args:
        config: the configuration.
        progress: called with one line of text at each step.
        folder: the run folder, which may hold copies of module files.
        problems: errors that are known already; they are raised together with the new ones.
        stored: header of the study that is continued; None for a new study.

    Raises:
        ConfigError: something is wrong; the error lists all mistakes.
        DownloadFailed: the data could not be downloaded.
    """
    check = _Collector(problems)
    progress("checking the data")
    if (url := config.storage) is not None:
        check(lambda: check_storage(url.secret))
    devices = check(lambda: workers(config.device, config.jobs))
    lacking = dict.fromkeys(c for c in (config.model, config.weights) if absent_weights(c))
    # the YAML of the same name shows all other mistakes before anything is downloaded
    model = yaml_of(config.model) if config.model in lacking else config.model
    layers = check(lambda: load_layers(config.layers or (), folder))
    # otherwise each row of a faulty file would be reported as unknown, too
    base = None if layers is None else check(lambda: load_base(model, width=config.width))
    task = check(partial(searched_task, base.head, base.name)) if base else TASKS["detect"]
    train = check(lambda: check_settings(config.train))
    absent = check(lambda: download.absent(named_data(config.data)))
    # if no search can train this task, messages about the labels would not help
    data = check(lambda: load_data(config, task.name)) if task and absent is False else None
    if data:
        check(lambda: _check_score(config, data))
    if base and data:
        base = base.for_data(data.nc, data.kpt_shape)
    if task:
        check(partial(check_task, config.train, task.name))
    if data and train is not None:
        check(partial(check_effect, train, config.epochs, data.mirrored))
    own = check(lambda: load_own(config.module_files or (), folder))
    if folder and stored:
        check(lambda: restore_modules(folder, stored))
    slots = check(lambda: all_slots(base)) if base and task else None
    content = check(lambda: space_content(config, stored))
    if slots:
        check(lambda: _check_sizes(config, slots))
    if data and config.folds:
        files, folds = tuple({*data.files["train"], *data.files["val"]}), config.folds
        check(lambda: check_folds(files, data.nc, folds, config.fold_groups))
    if base and config.weights and not lacking:
        check(lambda: check_weights(located(str(config.weights)), base))
    if base and slots and content is not None:
        began = recorded_slots(stored, config)
        chosen = check(lambda: chosen_slots(config, content, slots, unusable_slots(base, slots), began))
        check(lambda: check_head(base, chosen or ()))
        # the modules are checked even if the slots are wrong, so that all mistakes come at once
        if own is not None:  # otherwise each module of a faulty file would be reported as unknown, too
            names = tuple(source.names for source in own)
            more = options_of(stored, config)
            space = check(lambda: build_space(config, content, chosen or slots, base.name, names, options=more))
            for entry in own_modules(space) if space else ():
                check(entry.source)
                check(partial(check_costs, entry))
            if space:
                check(partial(check_places, space, config.imgsz, config.final_imgsz))
    check.done(f"study '{config.name}'")
    if absent or lacking:
        for checkpoint in lacking:
            fetched(str(checkpoint), progress)
        if absent:
            download.fetch(named_data(config.data) or "", progress)
        return resolve(config, progress, folder, stored=stored)
    assert data and devices and base and slots and chosen and space and content is not None and train is not None
    return Resolved(data, *devices, base, chosen, content, space, names, stored, train)


def load_own(files: Sequence[str], folder: RunFolder | None = None) -> list[user.Source]:
    """Register the modules in the files that a study names.

    Args:
        files: paths of the files.
        folder: the run folder. If a file is gone and the folder has a copy, the error says how to continue with it.

    Raises:
        ConfigError: a file is missing or faulty; the error lists all mistakes.
    """
    return _each(files, folder, "--modules", "module_files", user.load)


def load_layers(files: Sequence[str], folder: RunFolder | None = None) -> list[user.Source]:
    """Load the files of layers that a study names; arguments and errors are those of `load_own`."""
    _each(files, folder, "--layers", "layers", user.read)
    return user.load_layers(files)


def _each(
    files: Sequence[str], folder: RunFolder | None, option: str, field: str, use: Callable[[Path], user.Source]
) -> list[user.Source]:
    kept = folder.modules() if folder else []
    there = [[Path(f)] if is_file(f) else [p for p in kept if p.name == Path(f).name] for f in files]
    options = " ".join(f"{option} {shell_word(path)}" for paths in there for path in paths) if all(there) else ""

    def load(file: str) -> user.Source:
        try:
            path = Path(file).expanduser().resolve()
            trust.check([user.read(path)], file)
            return use(path)
        except UserError as error:
            if not options or is_file(file):
                raise
            remedy = f"Continue with the kept copy: {options}."
            raise UserError(error.rule, got=error.got, where=error.where, remedy=remedy) from None

    check = _Collector()
    found = [check(partial(load, file)) for file in files]
    check.done(field)
    return [source for source in found if source is not None]


def restore_modules(folder: RunFolder, stored: Mapping[str, Any]) -> None:
    """Register the modules of a study that this process does not know yet, from the copies in the run folder.

    Raises:
        UserError: a copy holds code that the user never named.
    """
    known = set(registry.names())
    missing = {digest for name, digest in (stored["fingerprints"].get("modules") or {}).items() if name not in known}
    sources = [s for file in folder.modules() if (s := user.read(file)).digest in missing]
    trust.check(sources, f"'{folder.path}'")
    user.ensure(sources)


def load_data(config: StudyConfig, task: str = "detect") -> DataInfo:
    """The data set of a study, checked for a task. A study without data gets generated data.

    Args:
        config: the configuration.
        task: `detect`, `segment`, `pose` or `obb`.

    Raises:
        DataError: the data set is missing, empty or inconsistent.
    """
    if config.data is not None:
        return check_data(named_data(config.data) or "", task)
    from nas_attn.data.demo import demo_data

    return check_data(demo_data(cache_root(), task), task)


def check_present(config: StudyConfig) -> None:
    """Refuse a plan whose data set would have to be downloaded first.

    Raises:
        UserError: it is not on this machine.
    """
    if (name := named_data(config.data)) is not None and download.absent(name):
        raise UserError(
            "`--plan` needs the data set on this machine, because it downloads nothing",
            got=f"'{Path(name).name}', which is not downloaded yet",
            remedy="Leave out --plan, or download the data set with Ultralytics first.",
        )


def named_data(data: str | None) -> str | None:
    """The data.yaml that Ultralytics ships by this name, even if the working directory has one; else `data` itself."""
    known = packaged_data().get(data or "")
    return str(known) if known else data


def val_boxes(config: StudyConfig, data: DataInfo) -> dict[str, int]:
    """Name of a class -> its boxes in val; with folds, in a fold on average."""
    counts = data.of_class["val"]
    if config.folds:
        counts = tuple((a + b) // config.folds for a, b in zip(data.of_class["train"], counts, strict=True))
    return dict(zip(data.names, counts, strict=True))


def _check_score(config: StudyConfig, data: DataInfo) -> None:
    Score(config.score).check_class(data.names, val_boxes(config, data), "score")


def _check_sizes(config: StudyConfig, slots: tuple[Slot, ...]) -> None:
    stride = max(32, *(s.stride for s in slots))
    problems = [
        UserError(
            f"`{name}` must be a multiple of the model's stride {stride}",
            got=size,
            remedy=f"Use {max(stride, round(size / stride) * stride)}.",
        )
        for name, size in (("imgsz", config.imgsz), ("final_imgsz", config.final_imgsz))
        if size % stride
    ]
    if problems:
        raise ConfigError(problems)


def own_modules(space: SearchSpace) -> list[registry.ModuleEntry]:
    """The searched modules that do not come from the zoo."""
    names = {gene.module for s in space.slots for gene in s.genes}
    return [e for e in registry.entries() if e.name in names and not e.cls.__module__.startswith(registry.ZOO)]
