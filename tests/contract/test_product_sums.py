"""Modules declare exactly the weighted sums that they compute by multiplications and additions.

Counted on the tensors of a run: products of two maps that both depend on the input, if such products are added up. Not
counted: a scalar or a learned number times a map (`residual`, ACmix's rates), one product plus a map (a gate with a
bias), means, and squares for a variance.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nas_attn.attention import registry
from nas_attn.attention.forms import reference_form
from nas_attn.attention.residual import build_module

CHANNELS, HEIGHT, WIDTH = 64, 20, 24
COPIES = {"cat", "stack", "clone", "_to_copy", "constant_pad_nd"}


class ProductSums(TorchDispatchMode):
    """Counts in `macs` the elements of products that are summed."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        self.macs, self.of_input = 0, {self.key(x)}
        self.products: dict[Any, int] = {}
        self.kept = [x]  # keeps all storages alive, so that no address is used twice

    @staticmethod
    def key(tensor: torch.Tensor) -> int:
        return tensor.untyped_storage().data_ptr()

    def summed(self, tensor: torch.Tensor) -> None:
        self.macs += self.products[self.key(tensor)]
        self.products[self.key(tensor)] = 0  # counted

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = [t for a in args for t in (a if isinstance(a, (list, tuple)) else [a]) if isinstance(t, torch.Tensor)]
        made = [t for t in (out if isinstance(out, (list, tuple)) else [out]) if isinstance(t, torch.Tensor)]
        self.kept += made
        name = func.overloadpacket.__name__.rstrip("_") or func.overloadpacket.__name__
        products = [t for t in given if self.key(t) in self.products]
        varying = [t for t in given if self.key(t) in self.of_input]
        if varying:
            self.of_input |= {self.key(t) for t in made}
        if name == "mul" and len(varying) == 2:
            self.products[self.key(out)] = out.numel()
        elif name == "addcmul" and products and len(varying) == 3:
            self.summed(given[0])
            self.macs += out.numel()
            self.products[self.key(out)] = 0
        elif name == "sum" and products:
            self.summed(given[0])
        elif name == "add" and len(products) == 2:
            for tensor in products:
                self.summed(tensor)
            self.products[self.key(out)] = 0
        elif name in COPIES and products:
            self.products[self.key(out)] = sum(self.products.pop(self.key(t)) for t in products)
        return out


def product_sums(module: torch.nn.Module) -> int:
    x = torch.randn(1, CHANNELS, HEIGHT, WIDTH)
    with torch.no_grad(), reference_form(), ProductSums(x) as found:
        module(x)
    return found.macs


@pytest.mark.parametrize("name", [e.name for e in registry.entries() if not e.is_none])
def test_a_module_declares_its_weighted_sums(name):
    entry = registry.get(name)
    settings = [s for s in entry.combinations() if s["residual"] == "none"]
    settings = [s for s in settings if entry.refusal(CHANNELS, HEIGHT, WIDTH, s) is None]
    assert settings
    for chosen in settings:
        module = build_module(entry, CHANNELS, chosen).eval()
        assert product_sums(module) == entry.extra_macs(CHANNELS, HEIGHT, WIDTH, chosen), chosen
