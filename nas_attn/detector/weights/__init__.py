"""Weights of a detector: initial weights, and the transfer of tensors from one network to another."""
