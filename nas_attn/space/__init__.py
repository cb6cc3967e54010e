"""Slots, genes, architectures and the finite search space; imports neither torch nor optuna."""

from nas_attn.space.architecture import NONE, Architecture, Gene
from nas_attn.space.search_space import SearchSpace, SlotSpace
from nas_attn.space.slot import Slot

__all__ = ["NONE", "Architecture", "Gene", "SearchSpace", "Slot", "SlotSpace"]
