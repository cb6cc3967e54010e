"""Attention modules, one per file: the class, its searchable settings, its paper."""
