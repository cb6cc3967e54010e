"""Attention on the edges of a neck, as community files have it: each row becomes a gene at the slot of its edge."""

from __future__ import annotations

import pytest
import yaml
from community_files import BEHIND_P5, changed, said

from nas_attn.detector.model.rows import PREFIX, absolute, rows_of
from nas_attn.detector.neck.surgery import apply

__all__ = ["changed"]  # fixture

SIMAM = "  - [-1, 1, SimAM, []]\n"
GENE = "simam(e_lambda=0.0001)"
P3, P4 = "  - [-1, 3, C2f, [256]]\n", "  - [-1, 3, C2f, [512]]\n"
DOWN, UP = "  - [-1, 1, Conv, [512, 3, 2]]\n  - [[-1, 9]", "  - [-1, 1, nn.Upsample, [None, 2, nearest]]\n"
FROM_6, FROM_4, FROM_12, FROM_9 = (f"  - [[-1, {n}], 1, Concat, [1]]\n" for n in (6, 4, 12, 9))

# slot -> (text of yolov8 behind which the row stands, and text after it; further replacements: the renumbered rows)
FILES = {
    "down.p3": (P3, "", [(BEHIND_P5, "[[15, 19, 22], 1")]),
    "down.p4": (P4, DOWN, [(BEHIND_P5, "[[15, 18, 22], 1")]),
    "up.p5": ("head:\n", "", [("[[-1, 12]", "[[-1, 13]"), (BEHIND_P5, "[[16, 19, 22], 1")]),
    "up.p4": (P4, UP, [(BEHIND_P5, "[[16, 19, 22], 1")]),
    "fuse.td.p4": (FROM_6, "", [("[[-1, 12]", "[[-1, 13]"), (BEHIND_P5, "[[16, 19, 22], 1")]),
    "fuse.p3": (FROM_4, "", [(BEHIND_P5, "[[16, 19, 22], 1")]),
    "fuse.p4": (FROM_12, "", [(BEHIND_P5, "[[15, 19, 22], 1")]),
    "fuse.p5": (FROM_9, "", [(BEHIND_P5, "[[15, 18, 22], 1")]),
    "backbone.p2": ("  - [-1, 3, C2f, [128, True]]\n", "", None),
    "backbone.p3": ("  - [-1, 6, C2f, [256, True]]\n", "", None),
}  # fmt: skip
ALL_MOVED = [
    ("[[-1, 6]", "[[-1, 7]"), ("[[-1, 4]", "[[-1, 5]"), ("[[-1, 12]", "[[-1, 13]"), ("[[-1, 9]", "[[-1, 10]"),
    (BEHIND_P5, "[[16, 19, 22], 1"),
]  # fmt: skip


def connections(model_yaml) -> list[tuple[str, list[int]]]:
    """The module of each row, and the rows that it reads."""
    return [(str(row[2]).removeprefix(PREFIX), absolute(row[0], i)) for i, row in enumerate(rows_of(model_yaml))]


@pytest.mark.parametrize("slot", FILES)
def test_a_row_on_an_edge_becomes_a_gene_of_its_slot(slot, changed):
    before, after, moved = FILES[slot]
    found = changed("v8", (before + after, before + SIMAM + after), *(ALL_MOVED if moved is None else moved))
    assert found.known and not found.repairs
    assert str(found.architecture) == f"{slot}={GENE}"
    assert [p.slot for p in found.puts] == [slot]
    written = apply(found.base, found.slots, found.architecture).yaml
    assert connections(written) == connections(yaml.safe_load(found.path.read_text()))


def test_the_rows_that_read_past_it_are_named_and_may_read_it(changed):
    before, _, moved = FILES["down.p3"]
    row = (before, before + SIMAM)
    assert "row 23 (Detect) reads row 15 (C2f) and skips row 16 (SimAM)" in said(changed("v8", row, *moved))
    assert str(changed("v8", row, *moved, wiring="in-line").architecture) == f"p3={GENE}"


def test_a_module_for_all_readers_and_one_more_on_an_edge(changed):
    """The head reads the first row at P3; the down-sampling reads the second one, which reads the first."""
    found = changed("v8", (P3, P3 + 2 * SIMAM), (BEHIND_P5, "[[16, 20, 23], 1"))
    assert str(found.architecture) == f"p3={GENE} down.p3={GENE}"
