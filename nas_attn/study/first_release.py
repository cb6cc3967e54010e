"""The zoo and the shipped search spaces of release 0.1.0.

A study of that release records only a digest of its search space, so this table is needed to continue it. Studies of
later releases record their whole space, so this table never changes.
"""

from __future__ import annotations

from typing import Any

VERSION = "0.1.0"
_RESIDUAL: dict[str, list[Any]] = {"residual": ["none", "scaled"]}
_LARGE: dict[str, list[Any]] = {"k_size": [7, 11, 23, 35, 41, 53]}

_SETTINGS: dict[str, dict[str, list[Any]]] = {
    "aattn": {"num_heads": [2, 4, 8], "area": [1, 4]},
    "acmix": {"kernel_att": [3, 5, 7, 9], "head": [1, 2, 4, 8]},
    "axial": {"num_heads": [2, 4, 8], "order": ["serial", "parallel", "criss_cross"]},
    "bi_level_routing": {"num_heads": [4, 8], "n_win": [4, 7], "topk": [1, 4, 8]},
    "caa": {"k_size": [7, 11, 15, 19, 23]},
    "cbam": {"reduction": [4, 8, 16], "kernel_size": [3, 5, 7]},
    "conv": {"groups": [1, 2, 4, 8, 16, 32, 64]},
    "coord": {"reduction": [4, 8, 16, 32]},
    "cpca": {"reduction": [2, 4, 8], "kernels": [[3, 5, 7], [5, 7, 11], [7, 11, 21]]},
    "dattention": {"num_heads": [4, 8], "groups": [1, 2], "stride": [2, 4, 8]},
    "eca": {"kernel_size": [3, 5, 7, 9]},
    "efficient_attention": {
        "group_split": [[4, 4], [2, 6], [6, 2], [8, 0], [0, 8], [2, 2, 4]],
        "window_size": [1, 2, 4, 8],
    },
    "ela": {"kernel_size": [3, 5, 7, 9], "group_width": [1, 8]},
    "ema": {"factor": [8, 16, 32]},
    "gam": {"rate": [4, 8, 16], "kernel_size": [3, 5, 7]},
    "gc": {"ratio": [4, 8, 16], "fusion": ["add", "mul"]},
    "lite_mla": {"head_dim": [8, 16, 32], "scales": [[3], [5], [7], [3, 5]]},
    "lka": _LARGE,
    "lka_trivial": _LARGE,
    "lsk": {"k_size": [11, 23, 29], "reduction": [1, 2, 4]},
    "lska": _LARGE,
    "lska_trivial": _LARGE,
    "mhsa": {"num_heads": [1, 2, 4, 8], "position": ["conv", "none"]},
    "mlca": {"local_size": [3, 5, 7], "local_weight": [0.25, 0.5], "kernel_size": [3, 5]},
    "psa": {"attn_ratio": [0.25, 0.5, 1.0], "num_heads": [2, 4, 8]},
    "se": {"rd_ratio": [0.25, 0.125, 0.0625, 0.03125]},
    "shuffle": {"groups": [2, 4, 8, 16, 32]},
    "simam": {"e_lambda": [0.0001, 0.001, 0.01, 0.1]},
    "sk": {"kernel_sizes": [[3, 5], [3, 7], [5, 9], [3, 5, 7]], "reduction": [4, 8, 16]},
    "strip": {"kernel_size": [3, 5, 7, 9]},
    "triplet": {"kernel_size": [3, 5, 7]},
    "window": {"window_size": [4, 7, 8], "num_heads": [2, 4, 8]},
}
ZOO = {name: {**settings, **_RESIDUAL} for name, settings in _SETTINGS.items()}

_NECK = ["p3", "p4", "p5"]
_LIGHT = ["cbam", "coord", "eca", "ela", "gc", "mlca", "se", "shuffle", "simam", "strip", "triplet"]
_ARTICLES = ["acmix", "conv", "efficient_attention", "lka", "lka_trivial", "lska", "lska_trivial"]

SPACES: dict[str, dict[str, Any]] = {
    "light": {"slots": _NECK, "modules": dict.fromkeys(_LIGHT)},
    "neck": {"slots": _NECK, "modules": dict.fromkeys(_ARTICLES)},
    "placement": {
        "slots": ["p?", "p?.head", "td.*", "lateral.*", "sppf.*", "inner.*"],
        "modules": {
            "acmix": {"head": [4], "kernel_att": [7]},
            "efficient_attention": {"group_split": [[4, 4]], "window_size": [4]},
            "lska": {"k_size": [7, 23]},
        },
    },
    "zoo": {"slots": _NECK, "modules": dict.fromkeys(ZOO)},
}
