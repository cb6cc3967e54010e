"""Attention modules: the zoo, its registry, and `Choice`, which declares the values that a search may try."""

from nas_attn.attention.choice import Choice, Setting
from nas_attn.attention.registry import ModuleEntry, attention, by_class_name, entries, get, names

__all__ = ["Choice", "ModuleEntry", "Setting", "attention", "by_class_name", "entries", "get", "names"]
