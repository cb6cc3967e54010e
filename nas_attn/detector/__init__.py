"""Ultralytics detectors as this package sees them: base models, slots, surgery, weights, training.

The only importer of Ultralytics, besides zoo files that wrap one of its layers. Nothing is imported here, so that a
light submodule stays light.
"""
