"""What every module of the zoo must do, with every setting; the registry is the test matrix."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest
import torch

from nas_attn.attention import entries
from nas_attn.attention.residual import Scaled
from nas_attn.errors import SlotRefused
from nas_attn.space import Gene

MAPS = [(1, 1), (2, 3), (3, 20), (19, 19), (21, 11)]
FORBIDDEN_CHILDREN = {"f", "i", "type", "np", "bn"}  # set or read by Ultralytics' parser and fusing step

GENES = [
    pytest.param(e, s, id=str(Gene.of(e.name, s)))
    for e in entries()
    for s in e.combinations()
    if s.get("residual", "none") == "none"
]
MODULES = [pytest.param(e, e.defaults(), id=e.name) for e in entries()]
every_gene = pytest.mark.parametrize(("entry", "settings"), GENES)
every_module = pytest.mark.parametrize(("entry", "settings"), MODULES)


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # maps here are so small that handing work to threads costs more than it saves
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def fitting(entry, settings):
    """The narrower of the two tested widths that the settings fit."""
    return next(c for c in (16, 64) if entry.refusal(c, 1, 1, settings) is None)


def build(entry, settings, channels=None):
    module = entry.build(channels or fitting(entry, settings), settings)
    with torch.no_grad():  # away from special initial values, which hide mistakes
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("channels", [16, 64])
@every_gene
def test_every_map_and_every_gradient(entry, settings, channels):
    reason = entry.refusal(channels, 21, 21, settings)
    if reason is not None:
        assert len(reason) > 20
        with pytest.raises(SlotRefused, match=r"must divide"):
            entry.build(channels, settings)
        return
    module = build(entry, settings, channels)
    for number, (height, width) in enumerate(MAPS):
        batch = 1 + number % 2
        if height * width == 1 and "single_value" in entry.cannot:
            with pytest.raises(ValueError, match="more than 1 value"):
                module(torch.randn(1, channels, 1, 1))
            batch = 2
        x = torch.randn(batch, channels, height, width, requires_grad=True)
        y = module(x)
        assert y.shape == x.shape and y.dtype == x.dtype
        assert torch.isfinite(y).all()
        if (height, width) in ((1, 1), (3, 20)):
            module.zero_grad()
            y.square().sum().backward()
            assert x.grad is not None and torch.isfinite(x.grad).all()
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None, name  # DistributedDataParallel stops at an unused parameter
                assert torch.isfinite(parameter.grad).all(), name


@every_gene
def test_batch_of_two_is_two_batches_of_one(entry, settings):
    module = build(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 5, 7)
    torch.testing.assert_close(module(x), torch.cat([module(x[:1]), module(x[1:])]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16], ids=["half", "bfloat16"])
@every_gene
def test_reduced_precision(entry, settings, dtype):
    if reason := entry.cannot.get({torch.half: "half", torch.bfloat16: "bfloat16"}[dtype]):
        pytest.skip(reason)
    module = build(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 6, 5).to(dtype)
    exact = module(x.float())
    reduced = module.to(dtype)(x)
    assert reduced.dtype == dtype and module(x[:, :, :1, :1]).dtype == dtype
    error = (reduced.float() - exact).square().mean().sqrt() / exact.square().mean().sqrt().clamp_min(1e-3)
    assert error < 0.05


@every_module
def test_large_activations_stay_finite_in_half(entry, settings):
    y = build(entry, settings).half()(torch.randn(1, fitting(entry, settings), 6, 5).mul(30).half())
    assert torch.isfinite(y).all()


@every_gene
def test_autocast(entry, settings):
    module = build(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 6, 5)
    with torch.autocast("cpu", torch.bfloat16):
        y = module(x)
    exact = module(x)
    assert y.shape == x.shape
    assert (y.float() - exact).square().mean().sqrt() < 0.05 * exact.square().mean().sqrt()


@every_gene
def test_memory_layout_does_not_matter(entry, settings):
    module = build(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 7, 6)
    expected = module(x)
    views = {
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "transposed": x.transpose(2, 3).contiguous().transpose(2, 3),
        "strided": x.repeat_interleave(2, 3)[..., ::2],
    }
    for name, view in views.items():
        torch.testing.assert_close(module(view), expected, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(views["channels_last"]), expected, rtol=1e-5, atol=1e-5)


@every_gene
def test_meta_device(entry, settings):
    with torch.device("meta"):
        module = build(entry, settings)
    x = torch.empty(2, fitting(entry, settings), 7, 5, device="meta")
    y = module(x)
    assert y.device.type == "meta" and y.shape == x.shape


@pytest.mark.parametrize("residual", ["none", "scaled"])
@every_module
def test_copies(entry, settings, residual):
    if not entry.is_none:
        settings = {**settings, "residual": residual}
    module = build(entry, settings).eval()
    x = torch.randn(1, fitting(entry, settings), 5, 6)
    expected = module(x)
    twin = entry.build(fitting(entry, settings), settings).eval()
    twin.load_state_dict(module.state_dict(), strict=True)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), twin):
        assert torch.equal(other(x), expected)


@every_module
def test_forward_leaves_no_trace(entry, settings):
    def surroundings():
        spaces = {n: m for n, m in sys.modules.items() if n.startswith("nas_attn.attention")}
        content = {n: {k: (id(v), len(v) if isinstance(v, dict | list | set) else 0) for k, v in vars(m).items()}
                   for n, m in spaces.items()}  # fmt: skip
        flags = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled())
        return content, flags, torch.get_rng_state().tolist()

    module = build(entry, settings)
    attributes = set(vars(module))
    x = torch.randn(1, fitting(entry, settings), 5, 6)
    kept = x.clone()
    before = surroundings()
    module(x)
    assert surroundings() == before
    assert torch.equal(x, kept)
    assert set(vars(module)) == attributes


@every_gene
def test_deterministic_algorithms(entry, settings):
    module = build(entry, settings)
    x = torch.randn(2, fitting(entry, settings), 6, 5)
    torch.use_deterministic_algorithms(True)  # warnings are errors in this suite
    try:
        runs = []
        for _ in range(2):
            leaf = x.clone().requires_grad_()
            module(leaf).square().sum().backward()
            runs.append(leaf.grad)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*runs)


@every_gene
def test_children_do_not_collide_with_ultralytics(entry, settings):
    module = entry.build(64, {**settings, "residual": "scaled"} if settings else settings)
    for _, part in module.named_modules():
        if type(part).__module__.startswith("ultralytics."):  # fusing knows its own layers
            continue
        assert not FORBIDDEN_CHILDREN & {name for name, _ in part.named_children()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.half], ids=str)
@every_gene
def test_scaled_starts_as_the_identity(entry, settings, dtype):
    if entry.is_none:
        assert settings == {}
        return
    module = entry.build(fitting(entry, settings), {**settings, "residual": "scaled"}).to(dtype)
    assert isinstance(module, Scaled)
    x = torch.randn(2, fitting(entry, settings), 4, 6).to(dtype).requires_grad_()
    y = module(x)
    assert y.dtype == dtype and torch.equal(y, x)
    (y * torch.randn_like(y)).sum().backward()
    assert module.gamma.grad.abs() > 0  # it can leave the identity
    with torch.no_grad():
        module.gamma.fill_(0.1)
    torch.testing.assert_close(module(x), x + (30 * module.gamma) * module.fn(x), rtol=1e-2, atol=1e-2)


@every_module
def test_scaled_on_meta_and_under_autocast(entry, settings):
    if entry.is_none:
        assert entry.row(16, settings) == ("NoAttention", [])
        return
    settings, width = {**settings, "residual": "scaled"}, fitting(entry, settings)
    with torch.device("meta"):
        assert entry.build(width, settings)(torch.empty(1, width, 3, 5, device="meta")).shape == (1, width, 3, 5)
    x = torch.randn(1, width, 3, 5, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert entry.build(width, settings)(x).dtype == torch.bfloat16
