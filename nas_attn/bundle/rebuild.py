"""The new process of `verify`: it builds the model again from the bundle alone, counts its cost and runs it.

python -m nas_attn.bundle.rebuild FOLDER  -> one JSON line: [[part, problem or ""], ...]
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.cost.cost import true_names
from nas_attn.errors import ExportChanged, NasAttnError

if TYPE_CHECKING:
    from nas_attn.attention.user import Source

CLOSE = 1e-6  # relative difference that two processors may cause in the sums of equal weights


def rebuild(folder: Path) -> list[tuple[str, str]]:
    """Check each part of a bundle.

    Args:
        folder: the bundle; its card is readable.

    Returns:
        (part, problem) of each part; the problem is "" if there is none.
    """
    from nas_attn.attention import user
    from nas_attn.bundle import card as cards
    from nas_attn.environment import prepare

    prepare()
    card = cards.read(folder)
    results: list[tuple[str, str]] = []

    def check(what: str, work: Callable[[], Any]) -> Any:
        """The value that `work` returns; None if it fails. The outcome is added to `results`."""
        try:
            value = work()
        except (NasAttnError, OSError) as error:
            results.append((what, str(_explained(error))))
            return None
        results.append((what, ""))
        return value

    files = [folder / name for name in sorted(card["files"]) if name.startswith("modules/")]
    if files:
        check("modules", lambda: _run([user.read(file) for file in files]))
    found = _Rebuilt(folder, card)
    model = check("architecture", found.architecture) and check("parameters", found.parameters)
    check("cost", found.cost)
    if model is not None and check("weights", found.weights) and isinstance(card["onnx"], list):
        for graph in card["onnx"]:
            if graph["file"]:
                check(f"ONNX {graph['file']}", partial(found.graph, graph))
    return results


def _explained(error: Exception) -> Exception:
    from nas_attn.detector.neck.export_diff import explained

    return explained(error) if isinstance(error, ExportChanged) else error


def _run(sources: list[Source]) -> None:
    from nas_attn.attention import trust, user

    trust.check(sources, "the bundle")
    user.ensure(sources)


class _Failed(NasAttnError):
    """A check failed; the message says how."""


class _Rebuilt:
    """The model of a bundle, made from its files. Each method checks one part; it raises `_Failed` if that fails."""

    def __init__(self, folder: Path, card: Mapping[str, Any]) -> None:
        self.folder, self.card = folder, card
        self.model: Any = None

    def architecture(self) -> bool:
        """Check that best.yaml has exactly the rows of base.yaml with the card's architecture."""
        from nas_attn.bundle.write import MODEL
        from nas_attn.detector.model.base_model import load_base
        from nas_attn.detector.model.export_key import KEY, check_export
        from nas_attn.detector.model.model_yaml import read_yaml
        from nas_attn.detector.neck.surgery import architecture_yaml

        file = self._file(MODEL)
        self.exported = load_base(str(file))
        check_export(read_yaml(file), MODEL)
        said = (self.exported.yaml.get(KEY) or {}).get("architecture")
        if said != self.card["architecture"]:
            raise _Failed(f"{MODEL} says `{said}`, but the card says `{self.card['architecture']}`")
        self._base()
        wanted, _ = architecture_yaml(self.base, self.slots, self.wanted)
        for number, (row, other) in enumerate(
            zip(self.exported.rows, wanted["backbone"] + wanted["head"], strict=False)
        ):
            if row != other:
                raise _Failed(f"row {number} of {MODEL} is {row}, but the card and base.yaml give {other}")
        if len(self.exported.rows) != (rows := len(wanted["backbone"] + wanted["head"])):
            raise _Failed(f"{MODEL} has {len(self.exported.rows)} rows, but the card and base.yaml give {rows}")
        return True

    def _file(self, name: str) -> Path:
        if not (self.folder / name).is_file():
            raise _Failed(f"{name} is missing")
        return self.folder / name

    def _base(self) -> None:
        from nas_attn.detector.model.base_model import load_base
        from nas_attn.detector.neck.slots import all_slots
        from nas_attn.space import Architecture

        self.base = load_base(str(self._file(self.card["base"]["file"])))
        self.slots = all_slots(self.base)
        self.wanted = Architecture.parse(self.card["architecture"])

    def parameters(self) -> bool:
        """Check that the model of best.yaml has as many parameters as the card says."""
        built: Any = self.exported.build()
        found = sum(p.numel() for p in built.parameters())
        wanted = self.card["cost"]["counts"]["params"]
        if found != wanted:
            raise _Failed(f"{found:,}, but the card has {wanted:,}{self._versions()}")
        return True

    def cost(self) -> bool:
        """Check that every count equals the card's, to the last digit."""
        from nas_attn.bundle.card import COUNTS, count

        if not hasattr(self, "base"):
            self._base()
        said = self.card["cost"]
        found = count(self.base, self.slots, self.wanted, said["imgsz"], said.get("counting", 1))
        differ = [
            f"{of}{name} {ours:,}, but the card has {true_names(said[part])[name]:,}"
            for of, part, cost in zip(("", "base's "), ("counts", "base_counts"), found, strict=True)
            for name, ours in zip(COUNTS, cost.as_tuple(), strict=True)
            if ours != true_names(said[part])[name]
        ]
        if differ:
            raise _Failed("; ".join(differ) + self._versions())
        return True

    def weights(self) -> bool:
        """Check that the rebuilt model has the weights that the card describes."""
        from nas_attn.bundle import model as models
        from nas_attn.bundle.card import state_digest, state_sums

        said = self.card["weights"]
        if said["kind"] == "trained":
            self.model = models.trained(self.exported, self.folder / said["file"])
            same = state_digest(self.model.state_dict()) == said["digest"]
        else:
            self.model = models.initial(self.base, self.slots, self.wanted, said["seed"])
            sums = state_sums(self.model.state_dict())
            same = all(math.isclose(value, said[name], rel_tol=CLOSE) for name, value in sums.items())
        if not same:
            raise _Failed(f"the values differ from those when the bundle was written{self._versions()}")
        return True

    def graph(self, said: Mapping[str, Any]) -> bool:
        """Check that an ONNX file computes the same as the rebuilt model; `said` is its entry in the card."""
        from nas_attn.detector.onnx import detector as onnx_model
        from nas_attn.detector.onnx import graph as onnx_graph

        onnx_graph.require()
        content = self._file(said["file"]).read_bytes()
        for checked in said["checked"]:
            shape = tuple(checked["batch_height_width"])
            try:
                found = onnx_model.difference(self.model, content, shape)
            except onnx_graph.GraphFailed as error:
                raise _Failed(f"it does not run at {shape}: {str(error)[:200]}{self._versions()}") from None
            if not found <= onnx_model.TOLERANCE:
                limit = onnx_model.TOLERANCE
                raise _Failed(
                    f"the difference to torch at {shape} is {found:.2g}, above the limit of {limit:g}{self._versions()}"
                )
        return True

    def _versions(self) -> str:
        """A text about packages whose versions differ from those in the card; empty if there are none."""
        from nas_attn.bundle.card import versions

        then, now = self.card["versions"], versions()
        others = [f"{n} {then[n]} then, {now.get(n, 'missing')} now" for n in then if then[n] != now.get(n)]
        return f"; the bundle was written with other versions: {'; '.join(others)}" if others else ""


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for the result; libraries and modules may print, too
        answer = rebuild(Path(sys.argv[1]))
    print(json.dumps(answer))
