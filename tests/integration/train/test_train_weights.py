"""`train --weights`: tensors follow their layers, and the others are counted by reason."""

from __future__ import annotations

import re

import pytest
import torch
from short_training import FOUND, QUICK

from nas_attn.space import Architecture


def test_weights_of_another_model(refused, here):
    from nas_attn.detector.model.base_model import load_base

    torch.save({"model": load_base("yolov8n", nc=3, width=0.0625).build()}, here / "other.pt")
    torch.save({"model": load_base("yolo11n", nc=3, width=0.125).build()}, here / "wider.pt")
    (here / "none.pt").write_text("nothing")
    said = refused("a/best.yaml", *QUICK, "--weights", "other.pt")
    assert re.search(r"at least 95%.*got \d+ of \d+ \(\d+\.\d %\).*'other.pt'.*--partial-weights", said), said
    assert "--partial-weights" in refused("a/best.yaml", *QUICK, "--weights", "wider.pt")
    assert "that Ultralytics wrote" in refused("a/best.yaml", "--weights", "none.pt")
    assert "must be a .pt file" in refused("a/best.yaml", "--weights", "a/best.yaml")


def test_another_class_count_is_no_other_base(here, base, slots):
    """Tensors that depend on classes, bins or attention are not counted, and all others are copied."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.initial_weights import build
    from nas_attn.detector.weights.start_model import start_model

    target = load_base(str(here / "a" / "best.yaml"))
    sizes = {"nc.pt": base.changed(nc=80), "bins.pt": base.changed(reg_max=4), "both.pt": base.changed(nc=1, reg_max=8)}
    for name, other in sizes.items():
        torch.save({"model": other.build()}, here / name)
        _, fit = start_model(target, here / name, 0)
        assert fit.share == 1.0 and fit.reshaped and not fit.unplaced and not fit.attention
        assert fit.moved + len(fit.reshaped) == fit.total
        assert all(key.startswith("model.23.") for key, _ in fit.reshaped)

    torch.save({"model": build(base, slots, Architecture.parse("p4=acmix(head=2,kernel_att=3)"), 0)[0]}, here / "p4.pt")
    _, fit = start_model(target, here / "p4.pt", 0)
    assert fit.share == 1.0 and not fit.reshaped and not fit.unplaced
    assert {key.split(".")[1] for key, _ in fit.attention} == {"20"}


def test_what_fits_of_another_base_is_taken_when_told(here, base):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.start_model import start_model

    other = load_base("yolov8n", nc=3, width=0.0625).build()
    torch.save({"model": other}, here / "other.pt")
    model, fit = start_model(load_base(str(here / "a" / "best.yaml")), here / "other.pt", 0, partial=True)
    assert 0 < fit.share < 0.95 and fit.unplaced and fit.moved < fit.total
    assert torch.equal(model.state_dict()["model.0.conv.weight"], other.state_dict()["model.0.conv.weight"])
    said = "\n".join(fit.lines())
    assert (
        f"{fit.moved} of {fit.total} tensors" in said
        and f"not copied: {len(fit.unplaced)} tensors that have no place in the model" in said
    )


def test_another_width_is_not_another_class_count(here, base):
    """Tensors that do not depend on classes, bins and keypoints have another reason, also in the head."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.start_model import start_model

    target = load_base(str(here / "a" / "best.yaml"))
    torch.save({"model": load_base("yolov8n", nc=80, width=0.125).build()}, here / "other.pt")
    _, fit = start_model(target, here / "other.pt", 0, partial=True)
    assert [key for key, _ in fit.reshaped] == [f"model.22.cv3.{i}.2.bias" for i in range(3)]
    assert any(key == "model.22.cv2.0.0.conv.weight" for key, _ in fit.unplaced)
    assert fit.counted >= fit.total - len(fit.reshaped)


@pytest.mark.parametrize(("head", "bins"), [("yolov8n", 16), ("yolov8n", 1), ("yolov8n-pose", 16)])
def test_what_classes_bins_and_keypoints_decide_is_not_counted(here, head, bins):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.start_model import start_model

    before = load_base(head, nc=3, width=0.0625)
    after = before.changed(nc=1, reg_max=bins, kpt_shape=(5, 3) if "pose" in head else None)
    for name, found, base in (("a.pt", before, after), ("b.pt", after, before)):
        torch.save({"model": found.build()}, here / name)
        _, fit = start_model(base, here / name, 0)
        assert fit.share == 1 and fit.reshaped and not fit.unplaced


def test_weights_follow_their_layers(here, base, slots):
    """A checkpoint of the same architecture gives all tensors; one of another architecture gives those of the base."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.initial_weights import build
    from nas_attn.detector.weights.start_model import start_model

    trained, _ = build(base, slots, Architecture.parse(FOUND), seed=9)
    torch.save({"model": trained, "ema": None}, here / "trained.pt")
    state = trained.state_dict()

    own, fit = start_model(load_base(str(here / "a" / "best.yaml")), here / "trained.pt", 0)
    assert (fit.moved, fit.total, fit.fresh, fit.matched, fit.misplaced) == (len(state), len(state), 0, len(state), 0)
    assert all(torch.equal(own.state_dict()[k], v) for k, v in state.items())

    other, fit = start_model(load_base(str(here / "b" / "best.yaml")), here / "trained.pt", 0)
    inserted = [k for k in state if k.split(".")[1] in ("17", "24")]
    assert (fit.moved, len(fit.attention), fit.total) == (len(state) - len(inserted), len(inserted), len(state))
    moved = other.state_dict()
    assert torch.equal(moved["model.24.cv3.0.2.weight"], state["model.25.cv3.0.2.weight"])
    assert torch.equal(moved["model.17.conv.weight"], state["model.18.conv.weight"])
    assert fit.matched < fit.moved  # loading by row number finds fewer


def test_a_start_is_the_same_for_the_same_seed(here, base):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.start_model import start_model

    torch.save({"model": base.build()}, here / "w.pt")
    model = load_base(str(here / "a" / "best.yaml"))
    first, again, other = (start_model(model, here / "w.pt", seed)[0].state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(again[k], v) for k, v in first.items())
    assert any(not torch.equal(other[k], v) for k, v in first.items() if k.startswith("model.17."))
