"""Trackers: the trials of a search as runs in MLflow, TensorBoard or Weights & Biases, written beside the search."""
