"""The note about a base that already holds attention, in each command that inserts more."""

from __future__ import annotations

import pytest

from nas_attn.cli.app import run
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.held_attention import held_attention
from nas_attn.detector.neck.export import write_yaml
from nas_attn.detector.neck.slots import all_slots
from nas_attn.space import Architecture

HELD = "p3=acmix(head=2,kernel_att=3) p4=lska(k_size=7,residual=scaled) inner.p5.insert=eca"


@pytest.fixture
def exported(tmp_path):
    base = load_base("yolo11n", nc=3, width=0.0625)
    path = tmp_path / "mine.yaml"
    write_yaml(path, base, all_slots(base), Architecture.parse(HELD), final_nc=3)
    return path


def test_modules_and_their_rows(exported):
    assert held_attention(load_base(str(exported))) == [("ACmix", 17), ("LSKA", 21), ("ECAAttention", 24)]
    assert held_attention(load_base("yolo12n")) == []


def test_an_articles_row_that_builds_counts(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "nc: 2\nscales: {n: [1, 1, 1024]}\nbackbone: [[-1, 1, Conv, [8, 3, 2]], [-1, 1, ACmix, [8, 8]]]\n"
        "head: [[-1, 1, Conv, [8, 3, 2]], [[1, 2], 1, Detect, [nc]]]\n"
    )
    assert held_attention(load_base(str(path))) == [("ACmix", 1)]


@pytest.mark.parametrize(
    "line", [["cost", "p3=eca"], ["slots"], ["export", "--architecture", "p3=eca", "-o", "second.yaml"]]
)
def test_the_commands_say_so_in_one_line(line, exported, monkeypatch, capsys):
    monkeypatch.chdir(exported.parent)
    assert run([*line, "--model", "mine.yaml"]) == 0
    notes = [text for text in capsys.readouterr().err.splitlines() if "holds attention" in text]
    assert len(notes) == 1 and "mine.yaml" in notes[0] and "Slots come after it" in notes[0]
    assert all(word in notes[0] for word in ("ACmix in row 17", "LSKA in row 21", "ECAAttention in row 24"))
    assert run([*line[:-1], "third.yaml"] if line[0] == "export" else line) == 0
    assert "holds attention" not in capsys.readouterr().err
