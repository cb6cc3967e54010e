"""Files of layers as communities write them, and the cases of model YAMLs that need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

SPD = '''\
"""Space to depth: the map is halved, and a convolution gives the channels."""
import torch
from torch import nn


def pad(k):
    return k // 2


class Conv(nn.Module):
    def __init__(self, c1, c2, k=1):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, 1, pad(k), bias=False)
        self.bn = nn.BatchNorm2d(c2)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class SPDConv(nn.Module):
    def __init__(self, inc, ouc, dimension=1):
        super().__init__()
        self.conv = Conv(inc * 4, ouc, 3)

    def forward(self, x):
        return self.conv(torch.cat([x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)], 1))


if __name__ == "__main__":
    print(SPDConv(3, 8)(torch.rand(1, 3, 8, 8)).shape)
'''
NAM = """\
import torch
from torch import nn


class ChannelGate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        weight = self.bn.weight.abs() / self.bn.weight.abs().sum()
        return x * torch.sigmoid(self.bn(x) * weight[:, None, None])


class NormGate(nn.Module):
    def __init__(self, channels, no_spatial=True):
        super().__init__()
        self.gate = ChannelGate(channels)

    def forward(self, x):
        return self.gate(x)
"""
HEAD = "import torch\nfrom torch import nn\n\n"


def layer(name: str, forward: str, init: str = "", signature: str = "") -> str:
    """The text of a layer class: its name, the expression that it returns, a line of its constructor, its arguments."""
    return (
        f"class {name}(nn.Module):\n    def __init__(self{signature}):\n        super().__init__()\n"
        f"        {init or 'pass'}\n\n    def forward(self, x):\n        return {forward}\n\n\n"
    )


RESIZING = HEAD + "".join(
    (
        layer("Doubling", "self.up(x)", "self.up = nn.ConvTranspose2d(c1, c2, 2, 2)", ", c1, c2"),
        layer(
            "Nearest", "nn.functional.interpolate(x, scale_factor=self.factor)", "self.factor = factor", ", factor=2"
        ),
        layer("Halving", "self.pool(x)", "self.pool = nn.MaxPool2d(2)"),
        layer("Wider", "self.conv(x)", "self.conv = nn.Conv2d(dim, 2 * dim, 1)", ", dim"),
        layer("Nothing", "x"),
    )
)


@pytest.fixture
def write_model(tmp_path) -> Callable[..., Path]:
    """A function that writes the YAML of yolov8n with other rows: number -> row."""

    def make(rows: dict[int, list] | None = None, name: str = "yolov8n-own.yaml", **settings: object) -> Path:
        import ultralytics

        source = yaml.safe_load((Path(ultralytics.__file__).parent / "cfg/models/v8/yolov8.yaml").read_text())
        first = len(source["backbone"])
        for number, row in (rows or {}).items():
            part, at = ("backbone", number) if number < first else ("head", number - first)
            source[part][at] = row
        (tmp_path / name).write_text(yaml.safe_dump({**source, **settings}, sort_keys=False))
        return tmp_path / name

    return make
