"""Ops without a rule: a module declares their cost, which counts for the module and for every model with it."""

from __future__ import annotations

import pytest
import torch
from module_files import HEAD, clean, write
from torch import nn

from nas_attn.attention import get, user
from nas_attn.attention.residual import build_module
from nas_attn.cli.modules_gallery import page
from nas_attn.cost import CostTable
from nas_attn.cost.counter import count, gene_cost
from nas_attn.detector.model.base_model import build_yaml
from nas_attn.detector.neck.surgery import architecture_yaml
from nas_attn.errors import ConfigError, UserError
from nas_attn.space import Architecture, Gene

__all__ = ["clean", "write"]  # fixtures

LGAMMA = """
@attention("{name}", costs={costs})
class {cls}(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        return self.conv(x) * torch.lgamma(x.abs() + 1){more}
"""
PLAIN = 8 * 8 * 4 * 6  # multiply-accumulates of the convolution on a map of 8 x 4 x 6


def source(costs: object, name: str = "mine", more: str = "") -> str:
    return LGAMMA.format(name=name, cls=name.capitalize(), costs=costs, more=more)


@pytest.mark.parametrize("macs", [0, 3])
def test_a_declared_op_is_counted(macs, write):
    user.load(write(HEAD + source({"aten::lgamma": macs})))
    assert get("mine").costs == {"aten::lgamma": macs}
    cost = gene_cost(Gene("mine"), 8, 4, 6)
    assert cost.macs == PLAIN + macs * 8 * 4 * 6
    assert cost.macs_fvcore_default == PLAIN and cost.flops_torch == 2 * PLAIN  # the other counters do not know the op
    assert count(build_module(get("mine"), 8, {"residual": "scaled"}), 4, 6, 8, batch=2).macs == 2 * cost.macs


def test_an_op_that_nobody_declares_is_an_error_that_can_be_followed(write):
    user.load(write(HEAD + source({}, more=" + torch.digamma(x)")))
    with pytest.raises(
        UserError, match=r"aten::digamma, aten::lgamma.*costs=\{'aten::digamma': 0, 'aten::lgamma': 0\}"
    ):
        gene_cost(Gene("mine"), 8, 4, 6)


def test_each_module_is_counted_by_its_own_word(write):
    """Two modules may declare different costs for one op, and neither declaration holds in the base."""
    user.load(write(HEAD + source({"aten::lgamma": 1}) + source({"aten::lgamma": 5}, "other")))
    mine, other = (build_module(get(name), 8, {}) for name in ("mine", "other"))
    assert count(nn.Sequential(mine, other), 4, 6, 8).macs == 2 * PLAIN + 6 * 8 * 4 * 6
    mine.inner = other  # nested modules: the innermost declaration counts
    mine.forward = lambda x: other(torch.lgamma(x))
    assert count(mine, 4, 6, 8).macs == PLAIN + 6 * 8 * 4 * 6

    class Base(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = build_module(get("mine"), 8, {})

        def forward(self, x):
            return self.inside(x) + torch.lgamma(x)

    with pytest.raises(UserError, match="aten::lgamma"):
        count(Base(), 4, 6, 8)


def test_an_op_without_one_output_can_only_be_free(write):
    split = " + torch.unsafe_split_with_sizes(x, [4, 4], 1)[0][:, :1]"
    user.load(write(HEAD + source({"aten::lgamma": 0, "aten::unsafe_split_with_sizes": 2}, more=split)))
    with pytest.raises(UserError, match=r"tensors of known shape.*aten::unsafe_split_with_sizes.*extra_macs"):
        gene_cost(Gene("mine"), 8, 4, 6)
    user.load(write(HEAD + source({"aten::lgamma": 0, "aten::unsafe_split_with_sizes": 0}, more=split)))
    assert gene_cost(Gene("mine"), 8, 4, 6).macs == PLAIN


def test_the_table_equals_a_full_count(write, known_base):
    user.load(write(HEAD + source({"aten::lgamma": 1}) + source({"aten::lgamma": 5}, "other")))
    base, slots = known_base("yolo11n")
    chosen = [
        Architecture.parse(t)
        for t in ("p3=mine p4=other p5=none", "p3=other(residual=scaled) p4=mine p5=mine", "p3=none p4=none p5=other")
    ]
    table = CostTable.build(base.build(), {s: [a[s.name] for a in chosen] for s in slots}, 320)
    for architecture in chosen:
        model = build_yaml(architecture_yaml(base, slots, architecture)[0])
        assert table.cost(architecture) == count(model, 320, 320), str(architecture)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({"lgamma": 0}, ["`costs` must name ops with their namespace", "'lgamma'", "aten::lgamma"]),
        ({3: 0}, ["namespace", "3"]),
        ({"aten::": 0}, ["namespace", "'aten::'"]),
        ({"aten::lgamma": -1}, ["whole numbers from 0 up", "aten::lgamma: -1"]),
        ({"aten::lgamma": 0.5}, ["whole numbers from 0 up", "0.5"]),
        ({"aten::lgamma": True}, ["whole numbers from 0 up", "True"]),
        (["aten::lgamma"], ["`costs` must be a dict", "['aten::lgamma']"]),
    ],
    ids=str,
)
def test_bad_declarations_are_refused_at_once(costs, words, write):
    with pytest.raises(UserError) as refused:
        user.load(write(HEAD + source(costs)))
    assert all(word in str(refused.value) for word in (*words, "mine.py:", "class Mine"))


def test_all_that_is_wrong_comes_together(write):
    with pytest.raises(ConfigError) as refused:
        user.load(write(HEAD + source({"lgamma": 0, "aten::lgamma": -1})))
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize("op", ["aten::_convolution", "aten::matmul", "aten::mul", "aten::cat", "prim::NumToTensor"])
def test_a_rule_cannot_be_overridden(op, write):
    user.load(write(HEAD + source({"aten::lgamma": 0, op: 2})))
    with pytest.raises(UserError, match=f"`costs` must not name ops that have a rule, but got {op}.*class Mine"):
        gene_cost(Gene("mine"), 8, 4, 6)


def test_repeating_a_rule_is_no_mistake(write):
    """A file still works with a later version that has a rule for the op."""
    user.load(write(HEAD + source({"aten::lgamma": 0, "aten::mul": 0, "aten::cat": 0})))
    assert gene_cost(Gene("mine"), 8, 4, 6).macs == PLAIN


def test_what_is_declared_is_listed(write):
    user.load(write(HEAD + source({"aten::lgamma": 2})))
    assert "- counted: `aten::lgamma` as 2 multiply-accumulates per element" in page([get("mine")])
