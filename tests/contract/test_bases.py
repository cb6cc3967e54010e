"""Rules for every base model: its slots are found, `none` changes nothing, every weight moves with its layer."""

from __future__ import annotations

import pytest
import torch

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.slots import find_slots
from nas_attn.detector.weights.checkpoint_rows import checkpoint_state
from nas_attn.detector.weights.initial_weights import build, initial_state
from nas_attn.space import Architecture, Gene

# name -> rows of the head's inputs; channels at P3/P4/P5 are 64/128/256 at scale n and twice that at s
ROWS = {
    "yolov5n": (17, 20, 23),
    "yolov8n": (15, 18, 21),
    "yolo11n": (16, 19, 22),
    "yolo12n": (14, 17, 20),
    "yolo26n": (16, 19, 22),
    "yolo11s": (16, 19, 22),
}
MODULES = [entry.name for entry in registry.entries() if not entry.is_none]


def predict(model, height=64, width=96):
    torch.manual_seed(3)
    with torch.no_grad():
        return model.eval()(torch.rand(2, 3, height, width))[0]


@pytest.mark.parametrize("name", ROWS)
def test_slots_are_the_inputs_of_the_head(name, known_base):
    _, slots = known_base(name)
    channels = (128, 256, 512) if name.endswith("s") else (64, 128, 256)
    assert [(s.name, s.row, s.channels, s.stride) for s in slots] == [
        (f"p{level}", row, c, 2**level) for level, row, c in zip((3, 4, 5), ROWS[name], channels, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "levels", "rows"),
    [
        ("yolov8n-p2", (2, 3, 4, 5), (18, 21, 24, 27)),
        ("yolov8n-p6", (3, 4, 5, 6), (20, 23, 26, 29)),
        ("yolo26n-p2", (2, 3, 4, 5), (19, 22, 25, 28)),
        ("yolov3-tiny", (4, 5), (19, 15)),  # the row of P4 comes after the row of P5
    ],
)
def test_slots_of_unusual_necks(name, levels, rows, known_base):
    _, slots = known_base(name)
    assert [s.name for s in slots] == [f"p{level}" for level in levels]
    assert tuple(s.row for s in slots) == rows


@pytest.mark.parametrize("name", ROWS)
def test_none_is_the_base_bit_for_bit(name, known_base):
    base, slots = known_base(name)
    trained = initial_state(base, seed=7)
    model, report = build(base, slots, Architecture.none(s.name for s in slots), seed=0, weights=trained)
    original = base.build()
    original.load_state_dict(trained)
    assert report.ratio == 1 and report.moved == len(trained)
    assert torch.equal(predict(model), predict(original))


@pytest.mark.parametrize("name", ROWS)
def test_every_weight_follows_its_layer(name, known_base):
    """With γ = 0, x + g·γ·f(x) is exactly x, so the inserted layers only shift the rows after them."""
    base, slots = known_base(name)
    trained = initial_state(base, seed=7)
    gene = Gene.of("lska", {"k_size": 7, "residual": "scaled"})
    model, report = build(base, slots, Architecture.of({s.name: gene for s in slots}), seed=0, weights=trained)
    original = base.build()
    original.load_state_dict(trained)
    assert (report.moved, report.left) == (len(trained), ())
    assert torch.equal(predict(model), predict(original))


@pytest.mark.parametrize("name", ROWS)
def test_each_module_builds_and_adds_its_own_parameters(name, known_base):
    base, slots = known_base(name)
    own = sum(p.numel() for p in base.build().parameters())
    for first in range(0, len(MODULES), len(slots)):
        chosen = [MODULES[(first + i) % len(MODULES)] for i in range(len(slots))]
        genes = {s.name: Gene.of(m, registry.get(m).defaults()) for s, m in zip(slots, chosen, strict=True)}
        model, _ = build(base, slots, Architecture.of(genes), seed=0)
        added = [
            build_module(registry.get(g.module), s.channels, g.as_dict())
            for s, g in zip(slots, genes.values(), strict=True)
        ]
        assert sum(p.numel() for p in model.parameters()) == own + sum(
            p.numel() for module in added for p in module.parameters()
        )
        assert torch.isfinite(predict(model, 64, 96)).all()


def test_yolo26_runs_end_to_end_with_a_module(known_base):
    base, slots = known_base("yolo26n")
    model, _ = build(base, slots, Architecture.of({"p5": Gene.of("lska", {"k_size": 7})}), seed=0)
    assert base.reg_max == 1
    model.end2end = True
    assert predict(model).shape[-1] == 6  # x1, y1, x2, y2, score, class


def test_a_checkpoint_is_a_base_with_weights(tmp_path, known_base):
    base, slots = known_base("yolov8n")
    original = base.changed(nc=3).build()
    torch.save({"model": original, "ema": None}, tmp_path / "mine.pt")
    loaded = load_base(str(tmp_path / "mine.pt"))
    assert (loaded.scale, loaded.nc, find_slots(loaded)) == ("n", 3, slots)
    model, report = build(loaded, slots, Architecture.none(["p3"]), seed=0, weights=checkpoint_state(loaded))
    assert report.ratio == 1
    assert torch.equal(predict(model), predict(original))
