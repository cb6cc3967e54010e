"""`export`: writes a candidate, or a given architecture, as a commented model YAML and as a bundle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_attn.atomic_files import check_free
from nas_attn.cli.options import RUNS_DEFAULT, Layers, Modules, Runs, Study, Trust, use_modules
from nas_attn.cli.overwrite import Force
from nas_attn.errors import UserError
from nas_attn.lines import say

if TYPE_CHECKING:
    from nas_attn.bundle.winner import Winner
    from nas_attn.space import Architecture

NAME = "export"
EXAMPLES = """
nas-attn export mine --pick knee -o best.yaml
nas-attn export --architecture "p3=acmix p5=lska" --nc 3 -o best.yaml
"""
BEST = Path("best.yaml")


def command(
    study: Study = None,
    pick: Annotated[
        str | None, typer.Option(help="Candidate: best, knee, simplest or trial:N. [default: knee]", show_default=False)
    ] = None,
    max_gmacs: Annotated[float | None, typer.Option(help="Leave out candidates with more GMACs.")] = None,
    architecture: Annotated[
        str | None,
        typer.Option(metavar="'p3=...'", help="Architecture to write; no study is needed.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Base model of --architecture. [default: yolo11n.yaml]", show_default=False)
    ] = None,
    nc: Annotated[
        int | None, typer.Option(help="Number of classes of --architecture. [default: the model's]", show_default=False)
    ] = None,
    width: Annotated[
        float | None, typer.Option(metavar="X", help="Width factor of --architecture. [default: the model's]")
    ] = None,
    imgsz: Annotated[
        int | None, typer.Option(help="Final image size of --architecture, pixels. [default: 640]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="YAML file to write. [default: best.yaml, if no --bundle]"),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for a bundle: YAML, ONNX, card and weights.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="best.pt", help="Bundle: checkpoint of the YAML's finished training.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Bundle: seed of the initial weights, without --weights. [default: 0]")
    ] = None,
    no_onnx: Annotated[bool, typer.Option("--no-onnx", help="Bundle: leave out the ONNX files.")] = False,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Check a bundle: rebuild its model in a new process. Module files run only if you trust them.",
        ),
    ] = None,
    force: Force = False,
    modules: Modules = None,
    layers: Layers = None,
    runs: Runs = RUNS_DEFAULT,
    trust: Trust = False,
) -> int:
    """Write a candidate or an architecture as a model YAML.

    Ultralytics can build and train this YAML. A bundle is a folder with the YAML, ONNX files, weights, and a card that
    lists them. --verify checks a bundle; the exit code is 1 if the bundle differs from its card.
    """
    own = {"--model": model, "--nc": nc, "--width": width, "--imgsz": imgsz}
    shipped = {"--weights": weights, "--seed": seed, "--no-onnx": no_onnx or None}
    chosen = {"STUDY": study, "--pick": pick, "--max-gmacs": max_gmacs}
    if verify is not None:
        written = {"--architecture": architecture, "-o": output, "--bundle": bundle, "--force": force or None}
        _alone("--verify", chosen | own | shipped | written)
        return _verify(verify)
    if architecture is not None:
        _alone("--architecture", chosen)
    else:
        _only_with("--architecture", own)
    if bundle is None:
        _only_with("--bundle", shipped)
    if output is None and bundle is None:
        output = BEST
    check_free([output] if output else [], force)
    if weights is not None and not weights.is_file():
        raise UserError("the file of `--weights` must exist", got=f"'{weights}'")
    if bundle is not None:
        from nas_attn.bundle.write import check_target

        check_target(bundle, force)
    use_modules(modules, layers)
    if architecture is not None:
        from nas_attn.bundle.named_model import named_model
        from nas_attn.bundle.winner import winner_of_architecture

        base = "yolo11n.yaml" if model is None else model
        named = named_model(base, nc=nc, width=width, imgsz=640 if imgsz is None else imgsz)
        for note in named.notes:
            say(note, sys.stderr)
        winner = winner_of_architecture(architecture, named)
    else:
        from nas_attn.analysis.front import pick as pick_of
        from nas_attn.analysis.front import sentence
        from nas_attn.api import load_study
        from nas_attn.bundle.winner import winner_of_candidate
        from nas_attn.study.config_sources import study_name

        found = load_study(study_name(study), runs=runs)
        chosen_pick = pick_of(found.view, pick or "knee", max_gmacs)
        say(f"note: {sentence(chosen_pick)}", sys.stderr)
        winner = winner_of_candidate(found.view, chosen_pick.candidate)
    from dataclasses import replace

    from nas_attn.detector.neck.export import check_name

    if output is not None:
        check_name(output, winner.base)
    if bundle is not None:
        _ship(replace(winner, weights=weights, seed=seed or 0), bundle, onnx=not no_onnx, force=force)
    if output is not None:
        winner.write(output, force=force)
        print(f"{output}: {winner.architecture}")
    if architecture is None and (plain := without_attention(winner.architecture)) is not None:
        say(f"note: {plain}; --pick trial:N takes another architecture", sys.stderr)
    return 0


def without_attention(architecture: Architecture) -> str | None:
    """A sentence, if the architecture has no attention; otherwise None."""
    modules = {gene.module for _, gene in architecture} - {"none"}
    if not modules:
        return "this is the unchanged base, without attention"
    return "this is the control with a plain convolution, without attention" if modules == {"conv"} else None


def _ship(winner: Winner, folder: Path, *, onnx: bool, force: bool) -> None:
    from nas_attn.bundle.write import write_bundle

    card = write_bundle(folder, winner, onnx=onnx, force=force, progress=lambda text: print(text, file=sys.stderr))
    print(f"{folder}: {card['architecture']}")
    print(f"  files: {', '.join(card['files'])}, card.json")
    trained = card["weights"]["kind"] == "trained"
    print(f"  weights: {'trained' if trained else f'initial, of seed {winner.seed}: not trained'}")
    for line in _graphs(card["onnx"]):
        print(f"  {line}")


def _graphs(graphs: Any) -> Iterator[str]:
    """A line for each ONNX file."""
    left_out: list[dict[str, Any]] = [{"file": None, "wanted": "ONNX", "left_out": "because of --no-onnx"}]
    for graph in graphs if isinstance(graphs, list) else left_out:
        if graph["file"] is None:
            yield f"{graph['wanted']}: left out, {graph['left_out']}"
        else:
            shapes = ", ".join("×".join(map(str, c["batch_height_width"])) for c in graph["checked"])
            weights, signals = (max(c[key] for c in graph["checked"]) for key in ("difference", "structure"))
            limits = graph["tolerance"], graph["structure_tolerance"]
            yield f"{graph['file']} compared with torch at {shapes}:"
            yield f"  difference {weights:.1g} with these weights (limit {limits[0]:g}),"
            yield f"  difference {signals:.1g} with statistics that pass the whole signal (limit {limits[1]:g})"


def _verify(folder: Path) -> int:
    from nas_attn.bundle.verify import verify_bundle

    checks = verify_bundle(folder)
    for check in checks:
        print(f"{'FAIL' if check.problem else 'ok  '}  {check.what}" + (f": {check.problem}" if check.problem else ""))
    failed = sum(bool(c.problem) for c in checks)
    if failed:
        print(f"error: {folder} differs from its card: {failed} of {len(checks)} checks failed", file=sys.stderr)
    return 1 if failed else 0


def _alone(option: str, others: dict[str, Any]) -> None:
    if given := [name for name, value in others.items() if value is not None]:
        rule = f"`{option}` and {given[0]} must not be given together"
        raise UserError(rule, got=f"{option} and {', '.join(given)}", remedy="Leave out one of them.")


def _only_with(option: str, others: dict[str, Any]) -> None:
    if given := [name for name, value in others.items() if value is not None]:
        rule = f"{' '.join(given)} needs `{option}`"
        raise UserError(rule, got=f"no {option}", remedy=f"Give {option}, or leave out {' '.join(given)}.")
