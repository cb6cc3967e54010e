"""The adoption of a community's model YAML: its base, its architecture, the repairs, and the suspicions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas_attn._version import __version__
from nas_attn.adoption.article import Article, ArticleRow, read_article
from nas_attn.adoption.block_arguments import is_map_size
from nas_attn.adoption.findings import Findings, Repair, Suspicion
from nas_attn.adoption.lineage import Lineage, base_name, choose_scale, find_lineage
from nas_attn.adoption.own_base import build_plain, own_base
from nas_attn.adoption.own_rows import ShapeChanged
from nas_attn.adoption.placing import Placed, Put, listed, place
from nas_attn.adoption.wiring import MODES, REPAIR, Wiring, check_wiring
from nas_attn.detector.model import community_names
from nas_attn.detector.model.base_model import BaseModel, load_base
from nas_attn.detector.model.own_layers import OwnLayer
from nas_attn.errors import UnknownName, UserError
from nas_attn.space.architecture import NONE, Architecture
from nas_attn.space.slot import INSERT, REPLACE, Slot

INSIDE = (INSERT, REPLACE, community_names.AFTER)


@dataclass(frozen=True)
class Adopted:
    """An article's file, read as an architecture on a base model.

    Attributes:
        path: the file.
        base: the base model at the scale and class count of the file. It holds the attention that a search cannot vary.
        plain: the same model without any attention.
        known: True if Ultralytics ships `plain`.
        slots: all slots of `base`.
        architecture: the modules at slots; `none` at each default slot without a module.
        puts: every attention row of the file, with its slot; and every inserted row of an own layer.
        layers: the other rows of own layers, which are part of the base.
        repairs: repaired mistakes and gaps; each was certain.
        suspicions: rows and keys that look wrong, but may be intended.
    """

    path: Path
    base: BaseModel
    plain: BaseModel
    known: bool
    slots: tuple[Slot, ...]
    architecture: Architecture
    puts: tuple[Put, ...]
    layers: tuple[tuple[ArticleRow, OwnLayer], ...]
    repairs: tuple[Repair, ...]
    suspicions: tuple[Suspicion, ...]

    def comments(self) -> list[str]:
        """Lines for the top of the fixed YAML, about its origin."""
        kept = [p for p in self.puts if not p.slot]
        return [
            f"Adopted by nas_attn {__version__} from {self.path.name}, on base model {self.base.name}.",
            *(f"Repaired: {r}." for r in self.repairs),
            *(f"Suspicious: {s}." for s in self.suspicions),
            *(f"Row {p.row.number} of {self.path.name} ({p.row.as_written}) is part of the base here." for p in kept),
        ]


def adopt(
    path: Path,
    *,
    scale: str | None = None,
    nc: int | None = None,
    imgsz: int = 640,
    wiring: str = REPAIR,
    inside: str | None = None,
    meanings: Mapping[str, str] | None = None,
) -> Adopted:
    """Read a community's YAML, and repair it so that it builds.

    Args:
        path: the file.
        scale: a scale of the file. None for the scale in the file's name, else the first or only scale of the file.
        nc: number of classes instead of the file's.
        imgsz: image size of the final training in pixels; settings that a row leaves out must fit its maps.
        wiring: `repair` corrects sources that are certainly mistakes, `in-line` also lets the rows below read all
            attention, and `keep` changes nothing.
        inside: place of the attention in blocks such as `C2f_ACmix`: `insert`, `replace` or `after`; None for the usual
            place of each module.
        meanings: name in the file -> name to read instead, for names with several meanings and for unknown names.

    Raises:
        UserError: the file does not describe a detector, has neither attention nor a mistake to repair, has an unknown
            name, or cannot be built.
    """
    if wiring not in MODES:
        raise UnknownName("value of --wiring", wiring, MODES)
    if inside not in (None, *INSIDE):
        raise UnknownName("value of --inside", inside, INSIDE)
    if imgsz < 1:
        raise UserError("`--imgsz` must be at least 1", got=imgsz)
    changing: set[int] = set()
    while True:
        try:
            return _adopt(read_article(path, inside, meanings, changing), scale, nc, imgsz, wiring, inside)
        except ShapeChanged as layer:
            changing.add(layer.number)


def _adopt(article: Article, scale: str | None, nc: int | None, imgsz: int, wiring: str, inside: str | None) -> Adopted:
    """The adopted article; the arguments are those of `adopt`.

    Raises:
        ShapeChanged: an own layer that seemed to be inserted changes the shape of its map.
    """
    findings = Findings()
    lineage = find_lineage(article)
    chosen = choose_scale(article, lineage, scale, findings)
    classes = nc if nc is not None else article.nc if article.nc is not None else (lineage.source or {}).get("nc", 80)
    _what_is_odd(article, lineage, nc, classes, findings)
    read = check_wiring(article, lineage.rows, lineage.name, wiring, findings)
    own: tuple[tuple[ArticleRow, OwnLayer], ...] = ()
    known = bool(lineage.name) and not lineage.differences and chosen.of_base and read.same
    if known:
        base = load_base(base_name(lineage, chosen.key), nc=classes)
        if "kpt_shape" in article.settings:
            base = base.changed(kpt_shape=article.settings["kpt_shape"])
    else:
        base, own = own_base(read, article.path.stem, chosen.key, chosen.factors, classes)
    bare = not article.attention and not article.blocks and not own
    if bare and read.sources == [list(r.sources) for r in article.rows]:
        raise _nothing(read, base, lineage, findings)
    placed: Placed = place(read, base, imgsz, inside, findings)
    if not placed.puts and not bare and not own:
        rule = "an article must have attention that some row reads"
        raise UserError(rule, where=str(article.path), got="; ".join(map(str, findings.suspicions)))
    default = [s.name for s in placed.slots if "." not in s.name]
    architecture = placed.architecture or Architecture.of(dict.fromkeys(default, NONE))
    return Adopted(
        article.path, placed.base, base, known and placed.base is base, placed.slots, architecture, placed.puts, own,
        tuple(findings.repairs), tuple(findings.suspicions),
    )  # fmt: skip


def _what_is_odd(article: Article, lineage: Lineage, nc: int | None, classes: int, findings: Findings) -> None:
    """Add the findings about keys, comments, names and map sizes, which need no comparison of sources."""
    head = article.rows[-1]
    if article.anchors:
        now = f"[{', '.join(map(str, head.content[3]))}]"
        findings.repair(head.number, head.as_written, article.anchors, now, "heads of Ultralytics have no anchors")
    if article.nc is None:
        findings.repair(None, "nc", "missing", classes, "given with --nc" if nc is not None else "as in the base")
    elif nc is None and lineage.source is not None and article.nc != lineage.source["nc"]:
        findings.suspect(None, "nc", f"nc is {article.nc}, the class count of the file's author, and is kept. `train` "
                         "needs the class count of your data: give --nc")  # fmt: skip
    if article.unread:
        findings.suspect(None, "key", f"keys that Ultralytics does not read are left out: {', '.join(article.unread)}")
    for difference in lineage.differences:
        findings.suspect(None, "base", f"{difference}: the file is a separate base model")
    claims = [(r.number, r.claim) for r in article.rows if r.claim is not None and r.claim != r.number]
    if claims:
        said = ", ".join(f"row {n} says # {c}" for n, c in claims)
        findings.suspect(
            claims[0][0], "comment", f"comments have wrong row numbers: {said}. Only the position in the list counts"
        )
    if own := [r for r in article.attention if community_names.folded(r.as_written) == "cbam" and not r.meaning]:
        text = "read as the paper's CBAM, because it has a reduction; Ultralytics' own class has none"
        findings.suspect(own[0].number, "name", f"{listed(own)}: {text}")
    for row in article.rows:
        if row.meaning:
            findings.repair(row.number, row.as_written, row.as_written, row.meaning, "given with --as")
        if row.named.block and (sizes := [a for a in row.given if is_map_size(a)]):
            was, now = list(row.given), row.content[3]
            why = f"{sizes[0]} is the size of its map, which {row.named.module} does not need here"
            findings.repair(row.number, row.as_written, was, now, why)
    for number in lineage.extra:
        row = article.rows[number]
        if row.named.module is None and not row.layer:
            text = f"row {number} ({row.as_written}) is a module of Ultralytics: it stays unchanged, in the base"
            findings.suspect(number, "name", text)


def _nothing(read: Wiring, base: BaseModel, lineage: Lineage, findings: Findings) -> UserError:
    """The error for a file without attention."""
    article = read.article
    try:
        build_plain(base, read)
        builds = "it builds as it is" if not article.anchors else "it builds without its anchors"
        remedy = "There is nothing to adopt: give it to `search` as --model."
        if odd := [s.text for s in findings.suspicions if s.kind in ("join", "head")]:
            builds = "; ".join(odd)
            remedy = "If that is intended, give the file to `search` as --model; otherwise correct these rows."
    except UserError as error:
        builds, remedy = f"it does not build: {error.got}", "There is nothing to adopt; correct the file."
    what = f"the rows of {lineage.name}" if lineage.name and not lineage.differences else "a separate base model"
    names_said = [str(s) for s in findings.suspicions if s.kind == "name"]
    return UserError(
        "a file to adopt must have a row of attention",
        got="; ".join([what, builds, *names_said]),
        where=str(article.path),
        remedy=remedy,
    )
