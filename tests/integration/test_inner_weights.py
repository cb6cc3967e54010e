"""Weights of detectors with attention inside their blocks: they are copied only to the same gene."""

from __future__ import annotations

import pytest
import torch

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.export import write_yaml
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.weights.checkpoint_rows import checkpoint_state
from nas_attn.detector.weights.initial_weights import build
from nas_attn.detector.weights.start_model import start_model
from nas_attn.space import Architecture

pytestmark = pytest.mark.usefixtures("one_seeded_thread")

LSKA = "lska(k_size=7,residual=scaled)"


@pytest.fixture(scope="module")
def base():
    return load_base("yolo11n", nc=3, width=0.125)


@pytest.fixture
def trained(base, tmp_path):
    """A function that returns a checkpoint with random tensors, and its state dict."""

    def save(architecture):
        model, _ = build(base, all_slots(base), Architecture.parse(architecture), 9)
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor.uniform_(1, 2)
        torch.save({"model": model, "ema": None}, tmp_path / "trained.pt")
        return tmp_path / "trained.pt", model.state_dict()

    return save


@pytest.fixture
def written(base, tmp_path):
    """A function that writes an architecture's YAML and loads it."""

    def write(architecture):
        write_yaml(tmp_path / "mine.yaml", base, all_slots(base), Architecture.parse(architecture), final_nc=3)
        return load_base(str(tmp_path / "mine.yaml"))

    return write


def of_attention(state, row):
    return {k for k in state if k.startswith(f"model.{row}.") and (".attention." in k or ".project." in k)}


@pytest.mark.parametrize("mode", ["insert", "replace"])
def test_attention_in_a_block_stays_behind_where_another_gene_stands(mode, trained, written):
    """`attention.gamma` has the same key and shape in every gene with residual=scaled."""
    path, state = trained(f"inner.p3.{mode}={LSKA}")
    model, fit = start_model(written(f"inner.p3.{mode}=eca(residual=scaled)"), path, 0)
    inside = of_attention(state, 16)
    assert {k for k, _ in fit.attention} == inside and any(k.endswith("attention.gamma") for k in inside)
    assert (fit.moved, fit.total, fit.share) == (len(state) - len(inside), len(state), 1.0) and not fit.unplaced
    assert [float(t) for k, t in model.state_dict().items() if k.endswith("attention.gamma")] == [0.0]
    assert fit.fresh == len(of_attention(model.state_dict(), 16))
    assert fit.misplaced == sum(k in model.state_dict() and model.state_dict()[k].shape == state[k].shape
                                for k in inside)  # fmt: skip


def test_attention_in_a_block_goes_where_the_same_gene_stands(trained, written):
    """Each place in a block counts by itself, independent of other places; another setting makes another gene."""
    path, state = trained(f"inner.p3.insert={LSKA} inner.p3.replace={LSKA} p5=eca inner.p4.insert={LSKA}")
    wanted = f"inner.p3.insert={LSKA} inner.p3.replace=eca inner.p4.insert=lska(k_size=11,residual=scaled)"
    model, fit = start_model(written(wanted), path, 0)
    replaced = {k for k in of_attention(state, 16) if ".cv2." in k.split(".attention.")[0] + "." or ".project." in k}
    inserted = of_attention(state, 16) - replaced
    assert inserted and replaced and fit.share == 1.0 and not fit.unplaced
    assert all(torch.equal(model.state_dict()[k], state[k]) for k in inserted)
    behind = {k for k, _ in fit.attention}
    assert replaced | of_attention(state, 20) <= behind and not inserted & behind


def test_a_checkpoint_on_its_plain_base_has_all_that_the_base_has(base, trained):
    """Attention has no tensors of the base: the ratio in a record counts only tensors that can be copied."""
    path, state = trained(f"inner.p3.insert={LSKA} inner.p5.insert=eca p4=eca")
    found = checkpoint_state(load_base(str(path)), base)
    assert set(found) == set(base.build().state_dict()) and len(found) < len(state)
    _, report = build(base, all_slots(base), Architecture.parse(f"inner.p3.insert={LSKA}"), 0, found)
    assert report.ratio == 1.0 and report.total == len(found)
    assert set(checkpoint_state(load_base(str(path)))) == set(found)


def test_the_very_model_takes_everything(trained, written):
    architecture = f"inner.p3.insert={LSKA} inner.p3.replace={LSKA} p5=eca"
    path, state = trained(architecture)
    exported = written(architecture)
    assert set(checkpoint_state(load_base(str(path)), exported)) == set(state)
    model, fit = start_model(exported, path, 0)
    assert (fit.moved, fit.total, fit.fresh, fit.misplaced) == (len(state), len(state), 0, 0)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in state.items())
