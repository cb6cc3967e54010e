"""Ablations: one architecture taken apart, with paired seeds and honest statistics. Reading one needs no torch."""
