"""The cost of an architecture, known before it is trained. Only this package imports fvcore, and only to count."""

from nas_attn.cost.cost import COUNTING, ZERO, Cost
from nas_attn.cost.table import CostTable

__all__ = ["COUNTING", "ZERO", "Cost", "CostTable"]
