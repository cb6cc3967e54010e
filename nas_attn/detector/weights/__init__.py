"""Weights of a detector: opening checkpoints safely, and moving tensors from one network to another."""
