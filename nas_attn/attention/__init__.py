"""Attention modules: the zoo, its registry, and `Choice`, with which a constructor declares what may be searched."""

from nas_attn.attention.choice import Choice, Setting
from nas_attn.attention.registry import ModuleEntry, attention, by_class_name, entries, get, names

__all__ = ["Choice", "ModuleEntry", "Setting", "attention", "by_class_name", "entries", "get", "names"]
