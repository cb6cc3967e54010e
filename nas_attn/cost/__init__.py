"""What an architecture costs, known before it is trained. The only importer of fvcore, which loads when counting."""

from nas_attn.cost.cost import COUNTING, ZERO, Cost
from nas_attn.cost.table import CostTable

__all__ = ["COUNTING", "ZERO", "Cost", "CostTable"]
