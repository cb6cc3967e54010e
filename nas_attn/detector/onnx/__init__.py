"""ONNX files of a detector, and their comparison with the network."""
