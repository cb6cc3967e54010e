"""The modules on a CUDA device: the checks that depend on a device, and both forms of those that have two."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch

from nas_attn.attention import entries
from nas_attn.attention.forms import reference_form
from nas_attn.attention.residual import build_module
from nas_attn.conformance import CHECKS, DECLARED, PASSED, plain_settings, run_check
from nas_attn.space import Gene

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

ON_DEVICE = [
    pytest.param(check, e, id=f"{check.name.replace(' ', '_')}-{e.name}")
    for check in CHECKS
    for e in entries()
    if check.on_device and check.leaves_out(e) is None
]
TWO_FORMS = [
    pytest.param(e, s, id=str(Gene.of(e.name, s))) for e in entries() if len(e.forms) == 2 for s in plain_settings(e)
]


@pytest.mark.parametrize(("check", "entry"), ON_DEVICE)
def test_rule(check, entry):
    result = run_check(check, entry, entry.defaults(), "cuda")
    assert result.state in (PASSED, DECLARED), result.reason


@pytest.mark.parametrize(("entry", "settings"), TWO_FORMS)
def test_both_forms_agree(entry, settings):
    torch.manual_seed(0)
    module = build_module(entry, 64, settings).cuda().double()
    for size in ((1, 1), (19, 19), (21, 11), (40, 40)):
        if entry.refusal(64, *size, settings) is not None:
            continue
        x = torch.randn(2, 64, *size, device="cuda", dtype=torch.float64).contiguous(memory_format=torch.channels_last)
        found = []
        for reference in (True, False):
            twin, leaf = copy.deepcopy(module), x.detach().requires_grad_()
            if reference:
                with reference_form():
                    y = twin(leaf)
            else:
                y = twin(leaf)
            y.square().sum().backward()
            found.append([y.detach(), leaf.grad, *(p.grad for p in twin.parameters())])
        for expected, fast in zip(*found, strict=True):
            assert (fast - expected).abs().max() <= 1e-10 * expected.abs().max() + 1e-11


@pytest.mark.parametrize(("entry", "settings"), TWO_FORMS)
def test_fast_forms_repeat_bit_for_bit(entry, settings):
    torch.manual_seed(0)
    module = build_module(entry, 64, settings).cuda()
    x = torch.randn(2, 64, 21, 19, device="cuda", dtype=torch.float32)
    if entry.refusal(64, 21, 19, settings) is not None:
        pytest.skip("refused there")
    runs = []
    for _ in range(2):
        module.zero_grad()
        leaf = x.detach().requires_grad_()
        with torch.autocast("cuda", torch.bfloat16):
            module(leaf).float().square().sum().backward()
        runs.append([leaf.grad, *(p.grad.clone() for p in module.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize(("entry", "settings"), TWO_FORMS)
def test_fast_forms_are_as_exact_in_bfloat16(entry, settings):
    """Against float64: no gradient of the fast form is much further off than the reference form's."""
    torch.manual_seed(0)
    module = build_module(entry, 64, settings).cuda()
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(2)  # away from small logits, where every softmax is alike
    x = torch.randn(2, 64, 21, 19, device="cuda")
    if entry.refusal(64, 21, 19, settings) is not None:
        pytest.skip("refused there")

    def gradients(kind, form):
        twin, leaf = copy.deepcopy(module).to(kind), x.to(kind).requires_grad_()
        with form():
            twin(leaf).float().square().mean().backward()
        return [leaf.grad.double(), *(p.grad.double() for p in twin.parameters())]

    exact = gradients(torch.float64, reference_form)
    for true, slow, fast in zip(
        exact, gradients(torch.bfloat16, reference_form), gradients(torch.bfloat16, contextlib.nullcontext), strict=True
    ):
        scale = true.norm().clamp(min=1e-6)
        assert (fast - true).norm() / scale <= 1.5 * (slow - true).norm() / scale + 0.01
