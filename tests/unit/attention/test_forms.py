"""Modules with two forms under second derivatives, hooks, replaced layers, autocast and other default devices."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from nas_attn.attention.forms import reference_form
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.efficient_attention import EfficientAttention

MAKE = {
    "acmix": lambda: ACmix(16, 16, 3),
    "acmix_wide": lambda: ACmix(128, 128, 3),
    "efficient_attention": lambda: EfficientAttention(16, 8, [4, 4], [3], 2),
}
every = pytest.mark.parametrize("name", MAKE)


def built(name):
    torch.manual_seed(0)
    return MAKE[name]().double(), torch.randn(2, 128 if "wide" in name else 16, 6, 5, dtype=torch.float64)


def both(module, x):
    with reference_form():
        expected = module(x)
    return module(x), expected


@every
def test_second_derivatives_are_refused_and_not_wrong(name):
    module, x = built(name)
    x.requires_grad_()
    with pytest.raises(RuntimeError, match="reference_form"):
        torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
    with reference_form():
        (g,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x)
    assert torch.isfinite(h).all()


@every
def test_what_hangs_on_a_layer_is_not_passed_by(name):
    module, x = built(name)
    layer = "conv2" if isinstance(module, ACmix) else "proj"
    child = getattr(module, layer)
    found, expected = both(module, x)
    torch.testing.assert_close(found, expected)
    handle = child.register_forward_hook(lambda _m, _i, out: out * 0)
    silenced, expected = both(module, x)
    assert torch.equal(silenced, expected) and not torch.allclose(silenced, found)
    handle.remove()
    prune.l1_unstructured(child, "weight", 0.5)
    with torch.no_grad():
        child.weight_orig.mul_(2)  # like an optimizer step: `forward` reads the change at its next call
    assert torch.equal(*both(module, x))
    setattr(module, layer, nn.Sequential(child))  # an adapter replaces the layer
    assert torch.equal(*both(module, x))


@pytest.mark.parametrize(("name", "allowed"), [("acmix", 0), ("acmix_wide", 0), ("efficient_attention", 2)])
def test_autocast_reaches_the_inside(name, allowed):
    """Maps are kept in half precision, except the output and the log-sum-exp of pooled attention."""
    module, x = built(name)
    module, x, kinds = module.float(), x.float().requires_grad_(), []
    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(lambda t: (kinds.append((t.dtype, t.shape)), t)[1], lambda t: t),
    ):
        y = module(x)
    assert y.dtype == torch.bfloat16
    maps = [kind for kind, shape in kinds if len(shape) >= 3 and shape[0] == len(x)]
    assert torch.bfloat16 in maps and maps.count(torch.float32) <= allowed, kinds


@every
def test_tilings_are_made_where_they_belong(name):
    module, x = built(name)
    expected = module(x[..., :5, :4])
    with torch.device("meta"):  # the default device for new tensors; existing tensors may be on another device
        torch.testing.assert_close(module(x[..., :5, :4]), expected)


@every
def test_an_empty_batch(name):
    module, x = built(name)
    empty = x[:0].requires_grad_()
    y = module(empty)
    y.sum().backward()
    assert y.shape == empty.shape and empty.grad.shape == empty.shape


@every
def test_inference_first_then_training(name):
    module, x = built(name)
    with torch.inference_mode():
        expected = module(x).clone()
    y = module(x.requires_grad_())
    y.sum().backward()
    torch.testing.assert_close(y.detach(), expected.clone())


@every
def test_one_graph_for_any_size(name):
    module, _ = built(name)
    seen = []

    def count(graph, _inputs):
        seen.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(module, backend=count, dynamic=True, fullgraph=True)
    for size in ((6, 5), (7, 9), (12, 4), (3, 8)):
        x = torch.randn(2, 128 if "wide" in name else 16, *size, dtype=torch.float64)
        torch.testing.assert_close(compiled(x), module(x))
    torch._dynamo.reset()
    if name != "efficient_attention" or tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 11):
        assert len(seen) == 1  # torch 2.9 compiles pooling with `ceil_mode` for one size only


def test_depthwise_convolutions_add_their_bias_in_training_only():
    torch.manual_seed(0)
    layer = DepthwiseConv2d(8, (3, 5), 2).double()
    plain = nn.Conv2d(8, 8, (3, 5), padding=(2, 4), dilation=2, groups=8).double()
    plain.load_state_dict(layer.state_dict())
    for layout in (torch.contiguous_format, torch.channels_last):
        grads = []
        for m in (layer, plain):
            torch.manual_seed(1)
            x = torch.randn(2, 8, 7, 6, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
            y = m(x)
            y.square().sum().backward()
            grads.append([y.detach(), x.grad, m.weight.grad.clone(), m.bias.grad.clone()])
            m.zero_grad()
        for a, b in zip(*grads, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    many = torch.randn(3, 2, 8, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(torch.vmap(layer)(many), torch.stack([plain(x) for x in many]))
