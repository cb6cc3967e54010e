"""The Python surface: the commands as functions; studies, ablations and tables as values.

`nas_attn` itself has the functions, `Study`, `Ablation` and `Adoption`; each is loaded when it is first used. The other
classes are types of results.
"""

from nas_attn.api.ablating import ablate
from nas_attn.api.ablation import Ablation
from nas_attn.api.adoption import Adoption, adopt
from nas_attn.api.costs import ModelCost, cost_of, costs_of
from nas_attn.api.effects import Effects
from nas_attn.api.listing import Listing
from nas_attn.api.module_table import modules
from nas_attn.api.planning import SearchPlan, plan_search
from nas_attn.api.registering import register
from nas_attn.api.search import load_study, run_search
from nas_attn.api.slot_liveness import SlotLiveness
from nas_attn.api.slot_table import Liveness, Network, liveness, slots
from nas_attn.api.study import Study
from nas_attn.api.study_list import studies

__all__ = [
    "Ablation",
    "Adoption",
    "Effects",
    "Listing",
    "Liveness",
    "ModelCost",
    "Network",
    "SearchPlan",
    "SlotLiveness",
    "Study",
    "ablate",
    "adopt",
    "cost_of",
    "costs_of",
    "liveness",
    "load_study",
    "modules",
    "plan_search",
    "register",
    "run_search",
    "slots",
    "studies",
]
