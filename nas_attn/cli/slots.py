"""`slots`: draws the network with its slots; with data, measures the slots at which attention can matter."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from nas_attn.cli.fields import FieldOptions, option, with_fields
from nas_attn.cli.options import Json, Layers, Modules, Trust, Yes, use_modules
from nas_attn.errors import UserError
from nas_attn.lines import say
from nas_attn.study.config import StudyConfig

NAME = "slots"
EXAMPLES = """
nas-attn slots --model yolo11n.yaml
nas-attn slots --data D.yaml --model yolo11n.yaml
"""
DEFAULT_MODEL = "yolo11n.yaml"
HOW_TO_MEASURE = "To measure which of them matter on your data: python -m nas_attn slots --data D.yaml"
OFFERED = ("data", "model", "slots", "weights", "epochs", "imgsz", "batch", "device", "jobs")
HELP = {
    "model": f"Base model. [{DEFAULT_MODEL}, or the study's]",
    "slots": "Slots to show or to measure, e.g. p3,td.p4; or name patterns, e.g. 'p?,inner.*'.",
    "weights": "Checkpoint from which the base starts.",
    "epochs": "Epochs of the training.",
    "imgsz": "Image size of the training, pixels.",
    "jobs": "Bases that are trained at the same time.",
}


@with_fields
def command(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY", help="Measure with the data and the settings of this study.", show_default=False
        ),
    ] = None,
    *,
    given: Annotated[dict[str, Any], FieldOptions(StudyConfig, OFFERED, HELP)],
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of bases to train; the mean is reported. [default: 1]")
    ] = None,
    seed: Annotated[int | None, option(StudyConfig, "seed")] = None,
    modules: Modules = None,
    layers: Layers = None,
    as_json: Json = False,
    trust: Trust = False,
    yes: Yes = False,
) -> None:
    """Draw a model with its slots, or measure which slots matter.

    With STUDY or --data, the command trains the model and then sets the output of each slot to zero, one slot at a
    time. If this loses no mAP, attention cannot help at that slot.
    """
    if study is None and "data" not in given:
        training = {**given, "seeds": seeds, "seed": seed}
        unused = [f"--{n}" for n, value in training.items() if value is not None and n not in ("model", "slots")]
        if unused:
            raise UserError(
                "options of a measurement need STUDY or --data",
                got=", ".join(unused),
                remedy="Give one, or only --model and --slots to see the network.",
            )
        use_modules(modules, layers)
        _draw(given.get("model", DEFAULT_MODEL), given.get("slots"), as_json)
        return
    files = {"module_files": modules, "layers": layers}
    given |= {"seed": seed} | {name: found for name, found in files.items() if found}
    _measure(study, given, seeds or 1, as_json)


def _draw(model: str, wanted: list[str] | None, as_json: bool) -> None:
    from nas_attn.api import slots

    found = slots(model, names=wanted)
    if found.note:
        say(found.note, sys.stderr)
    if as_json:
        print(json.dumps(found.network, indent=1))
        return
    from nas_attn.api.network import KEY, network_table
    from nas_attn.cli.tables import stdout

    out = stdout()
    out.print(network_table(found.network))
    out.print(KEY, soft_wrap=False, style="dim")
    say(HOW_TO_MEASURE, sys.stderr)


def _measure(study: str | None, given: dict[str, Any], seeds: int, as_json: bool) -> None:
    from nas_attn.api import liveness
    from nas_attn.api.progress import worth
    from nas_attn.study.slot_states import learned, too_little

    found = liveness(study, seeds=seeds, **given)
    if as_json:
        print(json.dumps(found.measured, indent=1))
        return
    say(found.title)
    for name, drop in found.measured["drop"].items():
        print(f"  {name}: {worth(drop, found.measured)}")
    if not learned(found.measured):
        say(f"Nothing is known about the slots yet: {too_little(found.measured)}.", sys.stderr)
    elif not found.measured["live"]:
        say("No live slot was found: train longer, at a larger image size, or from weights.", sys.stderr)
