"""Batch normalisation that also trains on a map of a single pixel."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, except that one value per channel (batch 1, 1×1 map) is normalised by the running statistics.

    A single value has no variance, and PyTorch refuses to train on it. In this case the running statistics do not
    change. Ultralytics overwrites eps and momentum of plain `BatchNorm2d` layers only, so this class keeps the values
    of the paper, or those of PyTorch if the paper gives none. All batch norms in the zoo have this class, except in
    `aattn` and `psa`: these use layers of Ultralytics, which get Ultralytics' values.

    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)
