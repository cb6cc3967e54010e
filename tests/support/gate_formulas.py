"""The formulas of the gating modules as loops over channels and pixels, in NumPy.

Each function takes one image (channels, height, width), the state of the module and its settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def relu(z):
    return np.maximum(z, 0)


def slide(row, kernel):
    """The convolution of a row of numbers, padded with zeros."""
    reach = len(kernel) // 2
    return np.array(
        [
            sum(kernel[j] * row[i + j - reach] for j in range(len(kernel)) if 0 <= i + j - reach < len(row))
            for i in range(len(row))
        ]
    )


def slide2(plane, kernel):
    """The convolution of a plane, padded with zeros."""
    (height, width), (rows, columns) = plane.shape, kernel.shape
    out = np.zeros_like(plane)
    for y in range(height):
        for z in range(width):
            for i in range(rows):
                for j in range(columns):
                    a, b = y + i - rows // 2, z + j - columns // 2
                    if 0 <= a < height and 0 <= b < width:
                        out[y, z] += kernel[i, j] * plane[a, b]
    return out


def matrix(p, name):
    return p[f"{name}.weight"].reshape(p[f"{name}.weight"].shape[:2])


def dense(p, name, z):
    """A 1×1 convolution on (channels, ...)."""
    bias = p.get(f"{name}.bias", np.zeros(len(p[f"{name}.weight"])))
    return np.stack([np.tensordot(row, z, 1) + b for row, b in zip(matrix(p, name), bias, strict=True)])


def se(x, p, **_):
    mean = np.array([plane.mean() for plane in x])
    gate = sigmoid(dense(p, "fc2", relu(dense(p, "fc1", mean))))
    return np.stack([plane * g for plane, g in zip(x, gate, strict=True)])


def eca(x, p, **_):
    gate = sigmoid(slide(np.array([plane.mean() for plane in x]), p["conv.weight"][0, 0]))
    return np.stack([plane * g for plane, g in zip(x, gate, strict=True)])


def cbam(x, p, **_):
    w0, w1 = matrix(p, "fc1"), matrix(p, "fc2")
    average, largest = (np.array([pool(plane) for plane in x]) for pool in (np.mean, np.max))
    gate = sigmoid(w1 @ relu(w0 @ average) + w1 @ relu(w0 @ largest))
    y = np.stack([plane * g for plane, g in zip(x, gate, strict=True)])
    kernels = p["spatial.weight"][0]
    return y * sigmoid(slide2(y.mean(0), kernels[0]) + slide2(y.max(0), kernels[1]))


def coord(x, p, **_):
    """Coordinate attention, with batch norm by its running statistics."""

    def strips(means):
        scale = p["bn1.weight"] / np.sqrt(p["bn1.running_var"] + 1e-5)
        z = (dense(p, "conv1", means) - p["bn1.running_mean"][:, None]) * scale[:, None] + p["bn1.bias"][:, None]
        return z * np.clip(z + 3, 0, 6) / 6

    rows = sigmoid(dense(p, "conv_h", strips(x.mean(2))))
    columns = sigmoid(dense(p, "conv_w", strips(x.mean(1))))
    return x * rows[:, :, None] * columns[:, None, :]


def ela(x, p, *, group_width, **_):
    def gates(means):
        out = np.zeros_like(means)
        for c in range(len(means)):
            first = c // group_width * group_width
            for i in range(group_width):
                out[c] += slide(means[first + i], p["conv.weight"][c, i])
        groups = 8 if len(x) == 16 else 16
        parts = np.split(out, groups)
        normed = np.concatenate([(part - part.mean()) / np.sqrt(part.var() + 1e-5) for part in parts])
        return sigmoid(normed * p["gn.weight"][:, None] + p["gn.bias"][:, None])

    return x * gates(x.mean(2))[:, :, None] * gates(x.mean(1))[:, None, :]


def simam(x, p, *, e_lambda, **_):
    """SimAM from the energy of the paper: E⁻¹ = (d² + 2v + 2λ) / (4(v + λ)) = d² / (4(v + λ)) + 1/2."""
    out = []
    for plane in x:
        v = plane.var(ddof=1)
        energy = 4 * (v + e_lambda) / ((plane - plane.mean()) ** 2 + 2 * v + 2 * e_lambda)
        out.append(plane * sigmoid(1 / energy))
    return np.stack(out)


def gc(x, p, *, fusion, **_):
    keys = np.exp(np.tensordot(p["conv_mask.weight"].ravel(), x, 1))
    context = np.array([(plane * keys).sum() / keys.sum() for plane in x])
    name = f"channel_{fusion}_conv"
    z = dense(p, f"{name}.0", context)
    z = (z - z.mean()) / np.sqrt(z.var() + 1e-5) * p[f"{name}.1.weight"].ravel() + p[f"{name}.1.bias"].ravel()
    t = dense(p, f"{name}.3", relu(z))[:, None, None]
    return x + t if fusion == "add" else x * sigmoid(t)


def cpca(x, p, *, kernels, **_):
    def depthwise(z, name):
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        return np.stack([slide2(plane, w[0]) + b for plane, w, b in zip(z, weight, bias, strict=True)])

    z = dense(p, "conv", x)
    z = z * (1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2
    gates = [sigmoid(dense(p, "ca.fc2", relu(dense(p, "ca.fc1", pool(z, (1, 2)))))) for pool in (np.mean, np.max)]
    prior = z * sum(gates)[:, None, None]
    base = depthwise(prior, "dconv5_5")
    total = base
    for i in range(len(kernels)):
        total = total + depthwise(depthwise(base, f"strips.{i}.0"), f"strips.{i}.1")
    return dense(p, "conv", dense(p, "conv", total) * prior)


FORMULAS: dict[str, Callable[..., Any]] = {
    "se": se, "eca": eca, "cbam": cbam, "coord": coord, "ela": ela, "simam": simam, "gc": gc, "cpca": cpca,
}  # fmt: skip
