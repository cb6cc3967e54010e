"""The cost of each traced op in multiply-accumulates. An op that is in no list is an error, never a silent zero.

fvcore's default handles (convolution, matrix products, normalisation, upsampling, adaptive pooling) are used unchanged,
and so is its list of ops without arithmetic (views, copies, indexing, comparisons). The products that its `matmul` and
`einsum` leave out are added here. A module can declare the cost of further ops for itself, see `declared.py`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

SDPA = "scaled_dot_product_attention"
BROADCAST = "matmul_broadcast"  # products that fvcore does not count
DECLARED = "declared"  # ops whose cost a module declares


def import_fvcore() -> None:
    """Import fvcore without a warning; on import it compiles a loss function in a way that torch deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import fvcore.nn  # noqa: F401


def sdpa_macs(inputs: list[Any], _outputs: list[Any]) -> int:
    """Both products of softmax(q·kᵀ)·v: prod(q[:-1])·S·(dk + dv). q: (..., L, dk), k: (..., S, dk), v: (..., S, dv)."""
    from fvcore.nn.jit_handles import get_shape

    q, k, v = (get_shape(value) for value in inputs[:3])
    return int(prod(q[:-1]) * k[-2] * (q[-1] + v[-1]))


def matmul_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """The number of outputs × the length of the sum, in two parts.

    The first part is fvcore's count, prod(first) · last axis of the second. The rest is under `BROADCAST`: fvcore
    ignores the batch axes of the second factor if the first factor has none, as in (L, K) @ (N, C, K, M), and it
    treats a vector as a matrix.
    """
    from fvcore.nn.jit_handles import get_shape

    first, second = (get_shape(value) for value in inputs)
    default = prod(first) * second[-1] if len(second) > 1 else 0
    return Counter({"matmul": default, BROADCAST: prod(get_shape(outputs[0])) * first[-1] - default})


def einsum_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """The product of the lengths of all indices, for a product of two factors that sums over at least one index.

    fvcore reads its count from a text that numpy prints with four digits only; the rest is under `BROADCAST`.
    """
    from fvcore.nn.jit_handles import einsum_flop_jit, get_shape

    default = int(einsum_flop_jit(inputs, outputs))
    factors, _, result = str(inputs[0].toIValue()).replace(" ", "").partition("->")
    terms = factors.split(",")
    shapes = [get_shape(value) for value in inputs[1].node().inputs()]
    sizes = {index: n for term, shape in zip(terms, shapes, strict=True) for index, n in zip(term, shape, strict=False)}
    usual = len(terms) == 2 and "." not in factors and all(len(set(term)) == len(term) for term in terms)
    exact = prod(sizes.values()) if usual and set(sizes) > set(result) else default
    return Counter({"einsum": min(default, exact), BROADCAST: max(0, exact - default)})  # Counters drop negative counts


COUNTED: dict[str, Callable[[list[Any], list[Any]], int | Counter[str]]] = {
    f"aten::{SDPA}": sdpa_macs,
    "aten::einsum": einsum_macs,
    "aten::matmul": matmul_macs,
}

# Names under which fvcore reports sums of products. Other counters count 2 floating point operations for each MAC.
PRODUCTS = frozenset({"addmm", "bmm", "conv", "einsum", "linear", "matmul", "mm", BROADCAST, SDPA})

# Ops with one operation or one table look-up per element, and no sums of products. By convention these are not MACs.
ELEMENTWISE = (
    "add", "add_", "addcmul", "addcmul_", "abs", "ceil", "cos", "div", "div_", "exp", "floordiv", "log", "mul", "mul_",
    "neg", "pow", "reciprocal", "rsqrt", "rsub", "sin", "sqrt", "square", "sub", "sub_", "true_divide", "where",
    "maximum", "minimum", "clamp_min", "clamp_max", "round", "lt", "le", "ne", "logical_and", "logical_or",
    "logical_not", "bitwise_and", "bitwise_or",
)  # fmt: skip
ACTIVATION = (
    "elu", "elu_", "gelu", "hardsigmoid", "hardsigmoid_", "hardswish", "hardswish_", "hardtanh", "hardtanh_",
    "leaky_relu", "leaky_relu_", "log_softmax", "mish", "mish_", "prelu", "relu6", "relu6_", "sigmoid", "sigmoid_",
    "silu", "silu_", "softmax", "softplus", "tanh", "tanh_",
)  # fmt: skip
POOLING = (
    "adaptive_avg_pool1d", "adaptive_max_pool1d", "adaptive_max_pool2d", "all", "amax", "amin", "argmax", "avg_pool1d",
    "avg_pool2d", "cumsum", "max_pool1d", "max_pool2d", "mean", "min", "norm", "linalg_vector_norm", "std", "sum",
    "topk", "var",
)  # fmt: skip
MOVING = (
    "alias", "as_strided", "broadcast_tensors", "channel_shuffle", "clone", "col2im", "diff", "empty_like", "expand_as",
    "feature_dropout", "flip", "im2col", "index_select", "item", "lift_fresh", "linspace", "meshgrid", "movedim",
    "native_channel_shuffle", "new_ones", "numel", "numpy_T", "one_hot", "ones_like", "pad", "pixel_shuffle",
    "pixel_unshuffle", "reflection_pad2d", "repeat", "repeat_interleave", "replication_pad2d", "reshape_as", "scatter",
    "scatter_", "sort", "swapaxes", "take_along_dim", "tensor_split", "tile", "tril", "triu", "unflatten", "unfold",
    "unsafe_chunk", "view_as", "zero_", "fill_", "full", "scalar_tensor", "tensor", "unsafe_split",
)  # fmt: skip

ZERO: dict[str, None] = dict.fromkeys(f"aten::{name}" for name in (*ELEMENTWISE, *ACTIVATION, *POOLING, *MOVING))
