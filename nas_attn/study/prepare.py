"""Makes the plan of a study: it checks all inputs and reports all mistakes together. Nothing is trained."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from nas_attn._version import __version__
from nas_attn.attention import user
from nas_attn.data.check import DataInfo
from nas_attn.detector.model.shipped_models import located
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.detector.weights.start_model import notes_on
from nas_attn.errors import UserError
from nas_attn.evaluate import Evaluator, Fidelity, evaluator_name
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.evaluate.starts import lost_with_weights
from nas_attn.study.config import StudyConfig
from nas_attn.study.folder import RunFolder
from nas_attn.study.identity import file_digest
from nas_attn.study.inputs import Resolved, own_modules, resolve
from nas_attn.study.limits import check_limits
from nas_attn.study.plan import Plan
from nas_attn.study.recorded_space import counting_of, space_and_costs, to_header
from nas_attn.study.records import FORMAT
from nas_attn.study.space_files import asked, build_space
from nas_attn.tasks import TASKS

FOLDS = "the scores are those of folds of train and val together, not of the data's own val; test is not touched"


def prepare(
    config: StudyConfig,
    folder: RunFolder,
    progress: Callable[[str], None],
    stored: dict[str, Any] | None = None,
    evaluator: Evaluator | None = None,
) -> Plan:
    """Check and resolve everything that a search needs.

    Args:
        config: the configuration.
        folder: the run folder, which exists.
        progress: called with one line of text at each step.
        stored: header of the study that is continued, which keeps its space and costs; None for a new study.
        evaluator: scores architectures; None means proxy runs. Its name is recorded in the header.

    Raises:
        ConfigError: something is wrong; the error lists all mistakes.
        UserError: the limits leave nothing to search.
        DownloadFailed: the data could not be downloaded.
    """
    if evaluator is not None and config.start == "base" and not hasattr(evaluator, "train_base"):
        rule = "an evaluator must have `train_base` if `start` is base"
        raise UserError(rule, got=evaluator_name(evaluator), remedy="Use start='scratch', or add the method.")
    found = resolve(config, progress, folder, stored=stored)
    return _plan(config, folder, progress, found, evaluator)


def _plan(
    config: StudyConfig,
    folder: RunFolder,
    progress: Callable[[str], None],
    found: Resolved,
    evaluator: Evaluator | None,
) -> Plan:
    """Count the costs, and make the plan and the header of the study."""
    data, base, space = found.data, found.base, found.space
    notes = [*data.notes]
    if config.weights:
        notes += notes_on(located(config.weights), base, data.names)
    if config.start == "weights":
        notes += lost_with_weights(s.slot for s in space.slots)
    if config.folds:
        images = len({*data.files["train"], *data.files["val"]})
        notes.append(f"{FOLDS}; {config.folds} folds of {images} images")
    for note in notes:
        progress(note)
    progress("counting cost")
    build = partial(build_space, config, found.content, found.slots, base.name, found.own)
    space, table = space_and_costs(config, base, space, build, found.stored, progress)
    proxy = make_evaluator(config, data, folder=folder, device=found.devices[0], threads=found.threads,
                           layers=base.sources)  # fmt: skip
    fidelity = Fidelity(config.epochs, config.imgsz, config.fraction)
    searched = {"slots": found.content.get("slots"), "modules": asked(config, found.content, found.own)}
    header: dict[str, Any] = {
        "format": FORMAT,
        "id": uuid.uuid4().hex,
        "version": __version__,
        "name": config.name,
        "config": config.model_dump(mode="json"),
        "base": base.name,
        "task": data.task,
        "objective": TASKS[data.task].objective,
        "notes": notes,
        "classes": list(data.names),
        "nc": data.nc,
        "kpt_shape": None if data.kpt_shape is None else list(data.kpt_shape),
        "reg_max": proxy.final_base()[2],
        "factors": list(base.factors),
        "data": {
            "path": str(data.path),
            "train": data.train,
            "val": data.val,
            "test": data.test,
            "words": data.sentence(),
        },
        "space_slots": [s.slot.as_list() for s in space.slots],
        "space_size": space.size,
        "named": [*(config.modules or ()), *(name for names in found.own for name in names)],
        "aliases": {s.slot.name: {str(a): str(g) for a, g in s.aliases.items()} for s in space.slots},
        **to_header(space, table, counting_of(found.stored), searched),
        "base_cost": table.cost(space.base_architecture()).as_dict(),
        "proxy_reg_max": proxy.proxy_reg_max(config.imgsz),
        "fingerprints": {
            "data": data.fingerprint,
            "space": space.fingerprint(),
            "base": base.fingerprint,
            "weights": file_digest(str(located(config.weights)) if config.weights else None),
            "modules": {e.name: e.digest for e in own_modules(space)},
            "evaluator": evaluator_name(evaluator),
            **({"layers": {name: source.digest for name, source in base.layers.items()}} if base.layers else {}),
        },
    }
    check_limits(config, space, table)
    plan = Plan(config, space, table, evaluator or proxy, fidelity, found.devices, found.threads, header)
    plan.first(space.names, progress)
    return plan


def make_evaluator(
    config: StudyConfig,
    data: DataInfo,
    *,
    folder: RunFolder | None = None,
    device: str = "cpu",
    threads: int = 1,
    layers: tuple[user.Source, ...] = (),
) -> ProxyEvaluator:
    """The proxy evaluator that a configuration describes.

    Args:
        config: the configuration.
        data: its data set, checked.
        folder: run folder for decoded images and the trained base; None means the user's cache.
        device: `cpu`; any other value means the only GPU that a worker sees.
        threads: CPU threads.
        layers: files of the user's own layers in the base.
    """
    return ProxyEvaluator(
        model=config.model,
        data=str(data.path),
        nc=data.nc,
        final_imgsz=config.final_imgsz,
        width=config.width,
        start=config.start,
        weights=str(located(config.weights).resolve()) if config.weights else None,
        base_file=str(folder.base_weights.resolve()) if folder and config.start == "base" else None,
        device="cpu" if device == "cpu" else "cuda",
        precision=config.precision,
        recipe=Recipe(batch=config.batch, lr0=config.lr0),
        test=config.test and data.test > 0,
        cache=str(folder.cache.resolve()) if folder else None,
        threads=threads,
        modules=(*user.sources(), *layers),
        kpt_shape=data.kpt_shape,
        folds=config.folds,
        fold_groups=config.fold_groups,
    )
