"""Everything about Ultralytics' detectors: base models, slots, surgery, weights, training, ONNX.

This file imports nothing, so that a light submodule stays fast to import.
"""
