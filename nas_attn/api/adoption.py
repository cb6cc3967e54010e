"""`adopt`: makes a community's model YAML build, and returns the result as a Python value."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.api.layer_files import use_layers
from nas_attn.errors import UserError
from nas_attn.lines import wrapped
from nas_attn.space import NONE, Architecture

if TYPE_CHECKING:
    from nas_attn.adoption.adopt import Adopted
    from nas_attn.adoption.findings import Repair, Suspicion
    from nas_attn.cost.cost import Cost

WIDTH = 100  # most characters in a printed line


@dataclass(frozen=True, repr=False)
class Adoption:
    """A community's model YAML, read as an architecture on a base model, with its cost.

    Attributes:
        found: the file as it was read, with slots, arguments, repairs and suspicions.
        imgsz: image size in pixels at which costs are counted.
        cost: cost of the whole model.
        base_cost: cost of the model without attention.
    """

    found: Adopted
    imgsz: int
    cost: Cost
    base_cost: Cost

    @property
    def architecture(self) -> Architecture:
        """The gene at each slot of the base."""
        return self.found.architecture

    @property
    def base(self) -> str:
        """The name of the base model."""
        return self.found.base.name

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """The repaired mistakes and gaps; each was certain."""
        return self.found.repairs

    @property
    def suspicions(self) -> tuple[Suspicion, ...]:
        """The rows and keys that look wrong, but may be intended; each text says if they are kept or left out."""
        return self.found.suspicions

    def write(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the repaired model YAML, which Ultralytics builds and trains.

        Args:
            path: the file; its suffix is .yaml or .yml.
            force: overwrite an existing file.

        Returns:
            The path of the file.

        Raises:
            UserError: the file exists and `force` is false, its suffix is wrong, it cannot be written, or its name
                would make Ultralytics build another scale.
        """
        from nas_attn.detector.neck.export import write_yaml

        file, found = Path(path), self.found
        check_output(file, force)
        write_yaml(file, found.base, found.slots, found.architecture, final_nc=found.base.nc, comments=found.comments())
        return file

    def as_dict(self, file: Path | None = None) -> dict[str, Any]:
        """The adoption as a JSON-ready dictionary; `file` is the path that was written, if any."""
        found = self.found
        return {
            "article": str(found.path),
            "base": found.base.name,
            "known_base": found.known,
            "scale": found.base.scale,
            "task": found.base.task,
            "nc": found.base.nc,
            "architecture": str(found.architecture),
            "rows": [_row(put) for put in found.puts],
            "layers": [
                {"row": row.number, "module": row.as_written, "layer": str(layer)} for row, layer in found.layers
            ],
            "imgsz": self.imgsz,
            "cost": self.cost.as_dict(),
            "base_cost": self.base_cost.as_dict(),
            "plain_base": found.plain.name,
            "repairs": [asdict(r) for r in found.repairs],
            "suspicions": [asdict(s) for s in found.suspicions],
            "file": None if file is None else str(file),
        }

    def text(self, width: int | None = WIDTH) -> str:
        """The findings as text, in lines of at most `width` characters. None does not break lines."""
        out = io.StringIO()
        for line in self._lines():
            whole = width is None or line.startswith("architecture")  # people copy this line
            print(line if whole else wrapped(line, width or WIDTH), file=out)
        return out.getvalue().rstrip("\n")

    def _lines(self) -> Iterator[str]:
        found = self.found
        base, kind = found.base, "" if found.known else ", a separate base model"
        yield f"{found.path}: on base {base.name}{kind}, scale {base.scale}, {base.nc} classes"
        for put in found.puts:
            where = f"{put.slot}=" if put.slot else "part of the base, " + (f"{put.times} × " if put.times > 1 else "")
            yield f"  row {put.row.number} {put.row.as_written} -> {where}{_gene(put)}"
            if put.reading.taken:
                taken = ", ".join(f"{k}={v}" for k, v in put.reading.taken.items())
                yield f"    not in the file, so taken: {taken}"
            if put.reading.said:
                yield f"    {put.reading.said}"
        for row, layer in found.layers:
            yield f"  row {row.number} {row.as_written} -> part of the base, {layer}"
        yield f"architecture: {found.architecture}"
        without = "attention and inserted layers" if any(put.layer for put in found.puts) else "attention"
        plain = f"without {without} ({found.plain.name}) {_figures(self.base_cost)}"
        yield f"cost at {self.imgsz} px: {_figures(self.cost)}; {plain}"
        for title, lines in (("repaired", found.repairs), ("suspicious", found.suspicions)):
            if lines:
                yield f"{title}:"
                yield from (f"  - {line}" for line in lines)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from nas_attn.dashboard.as_html import render
        from nas_attn.dashboard.blocks import element

        return render(element("pre", self.text()))


def adopt(
    article: str | Path,
    *,
    scale: str | None = None,
    nc: int | None = None,
    imgsz: int = 640,
    wiring: str = "repair",
    inside: str | None = None,
    meanings: Mapping[str, str] | None = None,
    layers: str | Path | Sequence[str | Path] | None = None,
) -> Adoption:
    """Make a community's model YAML build, and list its mistakes.

    This function does the same as `python -m nas_attn adopt`. Nothing is written or trained.

    Args:
        article: the model YAML.
        scale: a scale of the file. None for the scale in the file's name, else the first or only scale of the file.
        nc: number of classes instead of the file's.
        imgsz: image size of the final training in pixels. Costs are counted at it, and settings that a row leaves out
            must fit its maps.
        wiring: `repair` corrects sources that are certainly mistakes, `in-line` also lets the rows below read all
            attention, and `keep` changes nothing.
        inside: place of the attention in blocks such as `C2f_ACmix`: `insert`, `replace` or `after`; None for the usual
            place of each module.
        meanings: name in the file -> name to read instead, for names with several meanings and for unknown names.
        layers: Python files with your own layers, which rows of the file name.

    Raises:
        UserError: the file does not describe a detector, has neither attention nor a mistake to repair, has an unknown
            name, or cannot be built; or `imgsz` is no multiple of the model's stride.
    """
    from nas_attn.environment import prepare

    prepare()
    use_layers(layers)
    from nas_attn.adoption.adopt import adopt as read
    from nas_attn.cost import CostTable

    found = read(Path(article), scale=scale, nc=nc, imgsz=imgsz, wiring=wiring, inside=inside, meanings=meanings)
    stride = max(s.stride for s in found.slots)
    if imgsz <= 0 or imgsz % stride:
        raise UserError(f"`--imgsz` must be a multiple of the model's stride {stride}", got=imgsz)
    genes: dict[str, Any] = dict(found.architecture)
    table = CostTable.build(found.base.build(), {s: [genes.get(s.name, NONE)] for s in found.slots}, imgsz)
    plain = table if found.plain is found.base else CostTable.build(found.plain.build(), {}, imgsz)
    return Adoption(found, imgsz, table.cost(found.architecture), plain.base)


def check_output(file: Path, force: bool) -> None:
    """Refuse a file name without the suffix of a YAML, and an existing file.

    Args:
        file: the file that will be written.
        force: overwrite an existing file.

    Raises:
        UserError: the suffix is not .yaml or .yml, or the file exists and `force` is false.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise UserError("a model YAML must be named .yaml or .yml, or `train` refuses it", got=f"'{file}'")
    if file.exists() and not force:
        rule, remedy = "an existing file must not be overwritten", "Name another file with -o, or give --force"
        raise UserError(rule, got=f"'{file}'", remedy=f"{remedy} (in Python force=True).")


def _row(put: Any) -> dict[str, Any]:
    return {
        "row": put.row.number,
        "module": put.row.as_written,
        "slot": put.slot or None,
        "gene": _gene(put),
        "times": put.times,
        "taken": put.reading.taken,
        "said": put.reading.said,
    }


def _gene(put: Any) -> str:
    name, arguments = put.reading.raw
    return str(put.reading.gene) if put.reading.gene is not None else f"{name}{arguments}"


def _figures(cost: Cost) -> str:
    return f"{cost.gmacs:.4f} GMACs, {cost.params_m:.4f} M parameters"
