"""`slots` and `liveness`: the slots of a base model, and the mAP50-95 that each slot is worth on a data set."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.analysis.tables import EMPTY, Table
from nas_attn.api.costs import DEFAULT_MODEL
from nas_attn.api.keywords import with_keywords
from nas_attn.api.layer_files import use_layers
from nas_attn.api.listing import Listing, as_text
from nas_attn.api.options import LivenessOptions
from nas_attn.api.slot_liveness import SLOTS, SlotLiveness
from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.space import Slot
from nas_attn.study import RUNS
from nas_attn.study.config import StudyConfig

if TYPE_CHECKING:
    from typing import Unpack

    from nas_attn.engine import Engine
    from nas_attn.evaluate import Evaluator

COLUMNS = ("slot", "row", "module", "channels", "stride", "modules of a gene", "also called")


class Network(Listing[Slot]):
    """The slots of a base model. In a terminal it shows the rows of the network with their slots.

    Attributes:
        network: the rows, their connections and their slots, as `nas_attn.detector.neck.description.describe` returns
            them.
    """

    def __init__(self, slots: Iterable[Slot], network: dict[str, Any], note: str = "") -> None:
        found = list(slots)
        modules = {row["index"]: row["module"] for row in network["rows"]}
        records = [
            {
                "slot": s.name,
                "row": s.row,
                "module": modules[s.row],
                "channels": s.channels,
                "stride": s.stride,
                "sites": s.sites,
                "also": list(s.also),
            }
            for s in found
        ]
        rows = tuple(tuple(", ".join(v) if isinstance(v, list) else str(v) for v in r.values()) for r in records)
        table = Table(COLUMNS, rows, (None,) * len(rows))
        super().__init__(found, records, table, title=f"slots of {network['model']}", note=note)
        self.network = network

    def __repr__(self) -> str:
        from nas_attn.api.network import KEY, network_table

        return as_text(self.note, network_table(self.network), KEY)


def slots(
    model: str | Path = DEFAULT_MODEL,
    *,
    names: str | Iterable[str] | None = None,
    layers: str | Path | Sequence[str | Path] | None = None,
) -> Network:
    """The slots of a base model: the places at which attention can be used. Nothing is trained.

    Args:
        model: the base model: a name that Ultralytics ships, or the path of a YAML or a checkpoint.
        names: names or patterns of the slots to show, e.g. `"p*,inner.*"`; None for all.
        layers: Python files with your own layers, which rows of the model name.

    Raises:
        UserError: there is no such model or slot, or Ultralytics cannot build the model.
    """
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.environment import prepare

    prepare()
    use_layers(layers)
    from nas_attn.detector.model.held_attention import held_note
    from nas_attn.detector.neck.description import describe
    from nas_attn.detector.neck.slots import all_slots

    wanted = [n.strip() for n in names.split(",") if n.strip()] if isinstance(names, str) else names
    wanted = None if wanted is None else list(wanted)
    if wanted == []:
        raise ConfigError([UserError("`slots` must name at least one slot")])
    base = load_base(str(model))
    drawn = describe(base, wanted)
    shown = {slot["name"] for row in drawn["rows"] for slot in row["slots"]}
    return Network((s for s in all_slots(base) if s.name in shown), drawn, held_note(base) or "")


class Liveness(Listing[SlotLiveness]):
    """The mAP50-95 that each slot is worth to a trained base: the loss if the slot's output is zeroed.

    Attributes:
        measured: `base` (name of the model), `seeds`, `intact` (mAP50-95 of the unchanged base), `zeroed` (slot ->
            mAP50-95 with this slot zeroed), `drop` (slot -> mAP50-95 lost, mean over seeds), `drops` (the same for
            each seed), `live` (names of the live slots), `threshold` (least loss of a live slot) and `trials` (number
            of trained bases).
    """

    def __init__(self, measured: dict[str, Any]) -> None:
        from nas_attn.study.slot_states import slot_state

        values = [
            SlotLiveness(slot, measured["zeroed"][slot], lost, slot_state(lost, measured), slot in measured["live"])
            for slot, lost in measured["drop"].items()
        ]
        names = {k: v for k, v in SLOTS.items() if k != "searched"}
        rows = tuple(
            (v.slot, EMPTY if v.zeroed is None else f"{v.zeroed:.4f}", f"{v.lost:+.4f}", v.state) for v in values
        )
        table = Table(tuple(names), rows, (None,) * len(rows))
        title = f"{measured['base']}, mAP50-95 {measured['intact']:.4f} on val over seeds {measured['seeds']}"
        super().__init__(values, [vars(v) for v in values], table, title=title, narrow=names)
        self.measured = measured


@with_keywords(LivenessOptions, StudyConfig)
def liveness(
    study: str | Path | None = None,
    *,
    seeds: int = 1,
    progress: bool = True,
    evaluator: Evaluator | None = None,
    engine: Engine | None = None,
    **options: Unpack[LivenessOptions],
) -> Liveness:
    """Train the base, then set the output of each slot to zero, one slot at a time, and measure the loss of mAP50-95.

    If a slot loses no mAP50-95, attention cannot help there. This function does the same as `python -m nas_attn slots
    --data D.yaml`. A search begins with the same measurement.

    Args:
        study: the study whose data, model and settings are used; None if `data=` is given.
        seeds: number of bases to train; their mean is reported.
        progress: show the present step.
        evaluator: scores the base; None means proxy runs.
        engine: runs the trainings; None means worker processes on this machine.
        options: fields of `StudyConfig`, e.g. `data="data.yaml", model="yolo11n.yaml", epochs=15`.

    Raises:
        UserError: the input breaks a rule; nothing was trained.
        EvaluationFailed: the base cannot be trained.
    """
    from nas_attn.api.progress import Reporter, shown
    from nas_attn.environment import prepare
    from nas_attn.study.config_sources import known_study, load_config
    from nas_attn.study.observer import Silent

    if unknown := sorted(options.keys() - LivenessOptions.__annotations__.keys()):
        raise UnknownName("keyword", unknown[0], LivenessOptions.__annotations__, where="liveness()")
    name = None if study is None else str(study)
    stored = known_study(name, RUNS) if name is not None and options.get("data") is None else None
    given = {**options, "control_seeds": seeds, "test": False}
    config = load_config(name, given, stored)
    prepare()
    from nas_attn.study.slot_check import check_slots

    make: Callable[[], Reporter | Silent] = Reporter if progress else Silent
    with (
        tempfile.TemporaryDirectory(prefix="nas_attn-slots-") as folder,
        shown(None, make) as heard,
    ):
        found = check_slots(config, Path(folder), heard.preparing, evaluator=evaluator, engine=engine)
    return Liveness(found)
