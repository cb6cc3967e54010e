"""No module: the slot stays unchanged, as in the base model."""

from __future__ import annotations

from torch import nn

from nas_attn.attention.registry import attention


@attention("none", family="control", paper="none", licence="own code")
class NoAttention(nn.Identity):
    """Returns its input; the gene of an unchanged slot."""
