"""Everything about Ultralytics' detectors: base models, slots, surgery, weights, training, ONNX.

Nothing is imported here, so that a light submodule stays light.
"""
