"""Former faults of zoo modules: types under CUDA's autocast, layouts, empty batches, late errors."""

from __future__ import annotations

import pytest
import torch
from plain_attention import build
from torch.overrides import TorchFunctionMode

from nas_attn.attention import entries, get
from nas_attn.attention.residual import build_module
from nas_attn.attention.zoo import window
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.conformance import plain_settings
from nas_attn.conformance.support import fitting, moved
from nas_attn.cost.counter import gene_cost
from nas_attn.errors import UserError
from nas_attn.space import Gene

# operators of map modules that CUDA's autocast runs in float32, but the CPU's autocast does not
SINGLE = frozenset(("cumsum", "exp", "group_norm", "instance_norm", "layer_norm", "log", "log_softmax", "norm", "pow",
                    "prod", "reciprocal", "rsqrt", "softmax", "softplus", "sum", "__pow__", "__rpow__"))  # fmt: skip
RELAID = ("aattn", "axial", "bi_level_routing", "cafm", "criss_cross", "dattention", "ema", "irmb", "lite_mla", "mhsa",
          "shsa", "shuffle", "window")  # fmt: skip
EMPTY = ("aattn", "bi_level_routing", "cafm", "criss_cross", "dattention", "focal_modulation", "irmb", "lite_mla",
         "mca", "mhsa", "psa", "resblock_cbam", "shsa", "window")  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_seeded_thread")


class LikeCuda(TorchFunctionMode):
    """A context in which functions that CUDA's autocast runs in float32 receive float32."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in SINGLE and torch.is_autocast_enabled("cpu"):
            args, kwargs = map(single, args), {key: single(value) for key, value in kwargs.items()}
        return func(*args, **kwargs)


def single(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(single, value))
    reduced = isinstance(value, torch.Tensor) and value.dtype in (torch.half, torch.bfloat16)
    return value.float() if reduced else value


@pytest.mark.parametrize("entry", [pytest.param(e, id=e.name) for e in entries()])
def test_16_bit_maps_stay_16_bit_under_autocast_of_cuda(entry):
    for settings in plain_settings(entry):
        module = moved(entry, settings).eval()
        x = torch.randn(1, fitting(entry, settings), 5, 4)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), LikeCuda():
            assert module(x.bfloat16()).dtype == torch.bfloat16
            assert module(x).dtype in (torch.bfloat16, torch.float32)


def test_the_gates_of_cpca_multiply_no_map_in_float32():
    module, seen = get("cpca").cls(16).eval(), []
    module.dconv5_5.register_forward_hook(lambda _m, args, _y: seen.append(args[0].dtype))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), LikeCuda():
        module(torch.randn(1, 16, 5, 4).bfloat16())
    assert seen == [torch.bfloat16]


@pytest.mark.parametrize("order", ["serial", "parallel", "criss_cross"])
def test_axial_logits_beyond_half_stay_finite(order):
    module = get("axial").cls(64, 2, order)
    x = 300 * torch.randn(1, 64, 12, 10)
    with torch.no_grad():
        exact, reduced = module(x.half().float()), module.half()(x.half())
    assert reduced.isfinite().all()
    assert (reduced.float() - exact).square().mean() < 0.05**2 * exact.square().mean()


@pytest.mark.parametrize("size", [(7, 6), (16, 16), (1, 5), (1, 1)], ids=str)
@pytest.mark.parametrize("name", RELAID)
def test_the_output_lies_as_the_input_does(name, size):
    entry = get(name)
    for settings in plain_settings(entry):
        channels = fitting(entry, settings)
        module, x = moved(entry, settings).eval(), torch.randn(2, channels, *size)
        last = x.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            assert module(x).is_contiguous(), settings
            assert module(x.transpose(2, 3)).is_contiguous() or size == (1, 1), settings
            y = module(last)
            assert y.is_contiguous(memory_format=torch.channels_last), settings
            torch.testing.assert_close(y, module(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_batch_is_one(name):
    entry = get(name)
    for settings in plain_settings(entry):
        channels = fitting(entry, settings)
        module, x = moved(entry, settings), torch.randn(0, channels, 7, 6, requires_grad=True)
        for training in (True, False):
            y = module.train(training)(x)
            assert y.shape == x.shape
            y.sum().backward()
            assert x.grad.shape == x.shape


def test_norms_of_the_zoo_keep_their_values_beside_ultralytics():
    from ultralytics.utils.torch_utils import initialize_weights

    for entry in entries():
        if entry.name in ("aattn", "psa"):  # layers of Ultralytics, with its values
            continue
        module = build_module(entry, 64, entry.defaults())
        norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
        assert all(type(part) is BatchNorm for part in norms), entry.name
        before = [(part.eps, part.momentum) for part in norms]
        initialize_weights(module)
        assert [(part.eps, part.momentum) for part in norms] == before


def test_window_built_on_the_meta_device_and_loaded_is_the_same():
    original = build("window").float()
    with torch.device("meta"):
        module = get("window").cls(16)
    module = module.to_empty(device="cpu").eval()
    module.load_state_dict(original.state_dict())
    x = torch.randn(1, 16, 9, 5)
    assert torch.equal(module(x), original(x))


def test_window_trains_after_inference_mode_has_filled_its_table():
    window._kept_displacements.cache_clear()
    module, x = get("window").cls(16), torch.randn(1, 16, 9, 5)
    with torch.inference_mode():
        module(x)
    module(x).sum().backward()
    assert module.relative_position_bias_table.grad is not None


@pytest.mark.parametrize(
    ("name", "arguments"), [("cbam", (64, 16, 4)), ("eca", (4,)), ("ela", (64, 4)), ("lite_mla", (64, 8, (4,)))]
)
def test_even_kernels_are_refused_where_they_are_given(name, arguments):
    with pytest.raises(UserError, match="must be odd"):
        get(name).cls(*arguments)


@pytest.mark.parametrize("local_size", [3, 5, 7])
def test_pooling_of_mlca_costs_nothing(local_size):
    """By rule, pooling has no multiply-accumulates; only the two convolutions over channels remain."""
    gene = Gene.of("mlca", {"local_size": local_size, "kernel_size": 3})
    assert gene_cost(gene, 64, 40, 40).macs == 3 * 64 * (1 + local_size**2)


def test_heads_and_keys_of_lone_pixels_are_one_function():
    """A softmax over one key is 1, so the number of heads and the width of keys and queries change nothing."""
    psa, aattn = get("psa"), get("aattn")
    for entry in (psa, aattn):
        forms = [s for s in entry.combinations() if s["residual"] == "none"]
        assert len({entry.effective(s, 1, 1) for s in forms}) == 1
        assert len({entry.effective(s, 4, 4) for s in forms}) == len(forms)
    runs = [s for s in aattn.combinations() if s["residual"] == "none" and s["area"] == 4]
    assert len({aattn.effective(s, 2, 2) for s in runs}) == 1 < len({aattn.effective(s, 1, 5) for s in runs})
