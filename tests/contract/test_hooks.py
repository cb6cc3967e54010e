"""A module with two forms calls the same hooks as its reference form: hooks of any kind, on any part, and global hooks.

In every module, each part accepts full backward hooks.
"""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import nn

from nas_attn.attention import entries
from nas_attn.attention.forms import reference_form
from nas_attn.attention.residual import build_module

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using a non-full backward hook"),
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),  # the input of ACmix's conv_p has no gradient
]
KINDS = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_backward_hook",
)
GLOBAL_KINDS = (
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_backward_hook",
)
CHANNELS = 64


def built(entry):
    torch.manual_seed(0)
    return copy.deepcopy(
        build_module(entry, CHANNELS, entry.defaults()).train()
    )  # Ultralytics' blocks share an activation


TWO_FORMS = [e for e in entries() if len(e.forms) == 2]
PARTS = [(e, name) for e in TWO_FORMS for name, _ in built(e).named_modules() if name]


def recorder(calls):
    """A hook that counts its calls by class of the layer and shape of the first tensor."""

    def hook(layer, *tensors):
        first = next(t for g in tensors for t in (g if isinstance(g, tuple) else (g,)) if t is not None)
        calls[type(layer).__name__, tuple(first.shape)] += 1

    return hook


def step(module):
    torch.manual_seed(1)
    x = torch.randn(2, CHANNELS, 9, 7).requires_grad_()
    y = module(x)
    y.square().sum().backward()
    return y.detach(), x.grad


def counted(module, register):
    """The calls of hooks in one step of the default form, and in one step of the reference form."""
    seen = []
    for inside in (False, True):
        calls = Counter()
        handle = register(recorder(calls))
        try:
            if inside:
                with reference_form():
                    out = step(module)
            else:
                out = step(module)
        finally:
            handle.remove()
        seen.append((calls, out))
    return seen


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("entry", "part"), [pytest.param(e, p, id=f"{e.name}-{p}") for e, p in PARTS])
def test_a_hook_on_a_part(entry, part, kind):
    module = built(entry)
    (found, out), (expected, right) = counted(module, getattr(module.get_submodule(part), kind))
    assert found == expected
    for a, b in zip(out, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", GLOBAL_KINDS)
@pytest.mark.parametrize("entry", TWO_FORMS, ids=lambda e: e.name)
def test_a_global_hook(entry, kind, monkeypatch):
    monkeypatch.setattr(nn.modules.module, "_global_is_full_backward_hook", None)  # torch never resets this flag
    (found, _), (expected, _) = counted(built(entry), getattr(nn.modules.module, kind))
    assert found == expected and len(expected) > 1


class Negated(nn.Module):
    """Replaces a layer, as an adapter does."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return -self.layer(x)


def subclassed(layer):
    """The layer with a subclass that has another `forward`, as parametrised and quantised layers have."""
    cls = type(layer)
    layer.__class__ = type(f"Own{cls.__name__}", (cls,), {"forward": lambda self, x: -cls.forward(self, x)})
    return layer


def patched(layer):
    """The layer with another `forward` on the instance."""
    own = layer.forward
    layer.forward = lambda x: -own(x)
    return layer


@pytest.mark.parametrize("change", [Negated, subclassed, patched])
@pytest.mark.parametrize(("entry", "part"), [pytest.param(e, p, id=f"{e.name}-{p}") for e, p in PARTS])
def test_a_part_that_was_replaced(entry, part, change):
    module = built(entry)
    parent, _, name = part.rpartition(".")
    if type(module.get_submodule(part)) is nn.ModuleList:
        pytest.skip("not called in any form")
    setattr(module.get_submodule(parent), name, change(module.get_submodule(part)))
    out = step(module)
    with reference_form():
        right = step(module)
    for a, b in zip(out, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("entry", [e for e in entries() if not e.is_none], ids=lambda e: e.name)
def test_full_backward_hooks_on_every_part_at_once(entry):
    module = built(entry)
    called, before, after = set(), set(), set()
    for name, part in module.named_modules():
        part.register_forward_hook(lambda *_, name=name: called.add(name))
        part.register_full_backward_pre_hook(lambda *_, name=name: before.add(name))
        part.register_full_backward_hook(lambda *_, name=name: after.add(name))
    step(module)
    assert "" in called and called == before == after
