"""Models with random batch norms, which pass signals on as those of trained models do."""

from __future__ import annotations

import torch
from torch import nn


def shaken(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, with weights and statistics that differ from their initial values."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_var", "bn.weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.3)
    return module.eval()
