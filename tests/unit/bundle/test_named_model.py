"""A model that the user names without a study: it has notes as values, and its winner writes a YAML."""

from __future__ import annotations

import pytest

from nas_attn.bundle.named_model import named_model
from nas_attn.bundle.winner import winner_of_architecture
from nas_attn.errors import UserError

SMALL = {"nc": 3, "width": 0.0625, "imgsz": 64}


@pytest.fixture(scope="module")
def plain():
    return named_model("yolo11n", **SMALL)


def test_notes_are_returned_and_not_printed(plain, tmp_path, capfd):
    assert plain.notes == () and [s.name for s in plain.slots][:3] == ["p3", "p4", "p5"]
    winner = winner_of_architecture("p3=eca", plain)
    (tmp_path / "mine.yaml").write_text(winner.yaml())
    (note,) = named_model(str(tmp_path / "mine.yaml"), nc=None, width=None, imgsz=64).notes
    assert note.startswith("note: ") and "ECAAttention in row 17" in note
    assert capfd.readouterr() == ("", "")


def test_the_yaml_says_its_origin_and_its_training(plain):
    text = winner_of_architecture("p3=lska(k_size=7)", plain).yaml()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "without a study" in comments[0] and comments[1].startswith("# Cost at 64 px")
    assert comments[2].startswith("# Train: ") and "p3=lska(k_size=7" in comments[3]


@pytest.mark.parametrize(
    ("change", "rule"), [({"nc": 0}, "--nc"), ({"imgsz": 60}, "stride 32"), ({"imgsz": 0}, "--imgsz")]
)
def test_values_that_do_not_fit_are_refused(change, rule):
    with pytest.raises(UserError, match=rule):
        named_model("yolo11n", **SMALL | change)
