"""Models whose batch norms pass signals on, as trained ones do."""

from __future__ import annotations

import torch
from torch import nn


def shaken(module: nn.Module) -> nn.Module:
    """With weights and statistics that are no fresh module's, in evaluation mode."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_var", "bn.weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.3)
    return module.eval()
