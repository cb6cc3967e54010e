"""Attention in blocks without bottlenecks: in place of the block's own attention, or on its concat."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from community_files import changed
from random_norms import shaken
from torch import nn

from nas_attn.detector import blocks
from nas_attn.detector.weights.checkpoint_rows import fits

__all__ = ["changed"]  # a fixture
pytestmark = pytest.mark.usefixtures("one_seeded_thread")

# name -> constructor arguments, place, channels there, number of sites
BLOCKS = {
    "C2PSA": ((128, 128, 2), "inner", 64, 2),
    "C2fPSA": ((128, 128, 2), "inner", 64, 2),
    "SPPF": ((32, 48, 5), "concat", 64, 1),
    "SPPELAN": ((32, 48, 16), "concat", 64, 1),
    "RepNCSPELAN4": ((16, 32, 32, 16, 1), "concat", 64, 1),
}
every = pytest.mark.parametrize("name", BLOCKS)


def plain_block(name):
    from ultralytics.nn.modules import block

    return shaken(getattr(block, name)(*BLOCKS[name][0]))


def opened(name):
    arguments, mode, channels, _ = BLOCKS[name]
    return shaken(blocks.classes()[name](arguments, [[mode, "LSKA", channels, 7]]))


def image(name):
    return torch.randn(2, BLOCKS[name][0][0], 9, 7)


def conv(layer, x):
    """The output of a `Conv` in evaluation mode, computed by its formula."""
    bn = layer.bn
    y = nn.functional.conv2d(x, layer.conv.weight, None, 1, layer.conv.padding, 1, layer.conv.groups)
    y = nn.functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
    return layer.act(y)


@every
def test_the_place_in_a_block(name):
    _, mode, channels, sites = BLOCKS[name]
    assert blocks.whole_places(plain_block(name)) == {mode: (channels, sites)}
    assert blocks.whole_places(nn.Conv2d(3, 3, 1)) == {}
    assert bool(blocks.places(plain_block(name))) == (name == "RepNCSPELAN4")
    assert [type(m).__name__ for m in opened(name).attentions(mode)] == ["LSKA"] * sites


@every
def test_keys_of_the_block_stay(name):
    plain, ours = plain_block(name).state_dict(), opened(name).state_dict()
    kept = {key: t.shape for key, t in ours.items() if ".attention." not in key}
    gone = {key for key in plain if key not in kept}
    assert kept == {key: t.shape for key, t in plain.items() if key not in gone}
    assert bool(gone) == (BLOCKS[name][1] == "inner") and all(".attn." in key for key in gone)


def test_the_mathematics_of_c2psa():
    """y = cv2(cat(a, m1(m0(b)))), m(x) = y + ffn(y) with y = x + A(x)."""
    ours, x = opened("C2PSA").eval(), image("C2PSA")
    with torch.no_grad():
        a, b = conv(ours.cv1, x).chunk(2, 1)
        for site, block in enumerate(ours.m):
            b = b + ours.attentions("inner")[site](b)
            b = b + conv(block.ffn[1], conv(block.ffn[0], b))
        torch.testing.assert_close(ours(x)[0], conv(ours.cv2, torch.cat((a, b), 1)), rtol=1e-5, atol=1e-5)


def test_the_mathematics_of_sppf():
    """y = cv2(A(cat(p0, p1, p2, p3))), p0 = cv1(x), p(i+1) = the maximum of p(i) over 5×5."""
    ours, x = opened("SPPF").eval(), image("SPPF")
    with torch.no_grad():
        pooled = [conv(ours.cv1, x)]
        for _ in range(3):
            pooled.append(nn.functional.max_pool2d(pooled[-1], 5, 1, 2))
        wanted = conv(ours.cv2, ours.attentions("concat")[0](torch.cat(pooled, 1)))
        torch.testing.assert_close(ours(x)[0], wanted, rtol=1e-5, atol=1e-5)


@every
def test_copies_and_gradients(name):
    ours, x = opened(name), image(name)
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    with torch.no_grad():
        (wanted,) = ours(x)
        for other in (copy.deepcopy(ours), torch.load(file, weights_only=False)):
            assert type(other) is type(ours) and torch.equal(other(x)[0], wanted)
    ours.train()(x)[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in ours.parameters())


@every
def test_a_place_that_a_block_lacks_is_refused(name):
    arguments, mode, channels, _ = BLOCKS[name]
    other = "concat" if mode == "inner" else "inner"
    with pytest.raises(ValueError, match=f"a place that the block has, but got '{other}'"):
        blocks.classes()[name](arguments, [[other, "LSKA", channels, 7]])


@every
def test_weights_of_another_gene_do_not_fit(name):
    arguments, mode, channels, _ = BLOCKS[name]
    row, same, other = (
        [-1, 1, f"nas_attn.{name}", [list(arguments), [[mode, "LSKA", channels, k]]]] for k in (7, 7, 11)
    )
    for key in opened(name).state_dict():
        assert fits(key, row, same)
        assert fits(key, row, other) == (".attention." not in key)


def test_weights_of_the_plain_base_fill_all_but_the_replaced_attention(changed, tmp_path):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.start_model import save_start, start_model

    base = load_base("yolo11n", nc=80)
    weights = tmp_path / "plain.pt"
    save_start(start_model(base, None, 0)[0], "detect", weights)
    adopted = changed("v11", ("2, C2PSA,", "2, C2PSA_SimAM,"), ("SPPF,", "SPPF_LSKA,")).base
    model, report = start_model(adopted, weights, 0)
    assert report.share == 1 and not report.unplaced and not report.lacking
    assert report.attention and all(".attn." in key for key, _ in report.attention)
    fused = copy.deepcopy(model).eval().fuse(verbose=False)
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(fused(x)[0], model.eval()(x)[0], rtol=1e-3, atol=1e-3)
    save_start(model, "detect", weights)
    again, report = start_model(load_base(str(weights)), weights, 1)
    assert not report.left
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
