"""Community model YAMLs, as changes of yolov8 and yolo11, and the expected results of `adopt`."""

from __future__ import annotations

from typing import Any

import pytest

from nas_attn.adoption.adopt import Adopted, adopt

BASES = {
    "v8": """
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 6, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 6, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 3, C2f, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 12], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 9], 1, Concat, [1]]
  - [-1, 3, C2f, [1024]]
  - [[15, 18, 21], 1, Detect, [nc]]
""",
    "v11": """
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 2, C3k2, [256, False, 0.25]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 2, C3k2, [512, False, 0.25]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 2, C3k2, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 2, C3k2, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
  - [-1, 2, C2PSA, [1024]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 2, C3k2, [256, False]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 13], 1, Concat, [1]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 10], 1, Concat, [1]]
  - [-1, 2, C3k2, [1024, True]]
  - [[16, 19, 22], 1, Detect, [nc]]
""",
}
SCALES = {"v8": "{n: [0.33, 0.25, 1024], s: [0.33, 0.5, 1024]}", "v11": "{n: [0.5, 0.25, 1024], s: [0.5, 0.5, 1024]}"}
P5_V8 = "  - [-1, 3, C2f, [1024]]\n"
P5_V11 = "  - [-1, 2, C3k2, [1024, True]]\n  - [[16"
BEHIND_P5 = "[[15, 18, 21], 1"


@pytest.fixture
def changed(tmp_path):
    """A function that adopts the YAML of yolov8 or yolo11 after replacing some of its text."""

    def make(base: str, *replaced: tuple[str, str], **options: Any) -> Adopted:
        text = f"nc: 80\nscales: {SCALES[base]}{BASES[base]}"
        for old, new in replaced:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
            text = text.replace(old, new)
        (tmp_path / "article.yaml").write_text(text)
        return adopt(tmp_path / "article.yaml", **options)

    return make


def block(base: str, row: str) -> tuple[str, str]:
    """The YAML in which the block that feeds the head at P5 is replaced."""
    if base == "v8":
        return P5_V8, f"  - {row}\n"
    return P5_V11, f"  - {row}\n  - [[16"


def extra(row: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The YAML with one more row between yolov8's P5 and its head."""
    return (P5_V8, f"{P5_V8}  - {row}\n"), (BEHIND_P5, "[[15, 18, 22], 1")


def said(found: Adopted) -> str:
    return "\n".join([*map(str, found.repairs), *map(str, found.suspicions), *(p.reading.said for p in found.puts)])
