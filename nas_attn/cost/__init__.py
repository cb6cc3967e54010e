"""The cost of an architecture, known before training. Only this package imports fvcore, and only when it counts."""

from nas_attn.cost.cost import COUNTING, ZERO, Cost
from nas_attn.cost.table import CostTable

__all__ = ["COUNTING", "ZERO", "Cost", "CostTable"]
