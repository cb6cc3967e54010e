"""The architectures that a search trains before it chooses its own: those that the user asked for, or named."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nas_attn.space import NONE, Architecture
from nas_attn.study.limits import over_limit
from nas_attn.study.plan import Plan
from nas_attn.study.view import StudyView


def first_trials(plan: Plan, view: StudyView, tell: Callable[[str], None]) -> list[Architecture]:
    """The architectures to train first: those of `--try`, then one of each module that the user named.

    Their number does not depend on `--trials`, so a search that is continued has the trials of one that ran whole.

    Args:
        plan: the plan of the search.
        view: the study, whose slots are measured.
        tell: takes a sentence on each architecture that is left out.
    """
    searched, drop = view.slots["searched"], view.slots["drop"]
    asked = plan.first(searched, tell)
    order = sorted(searched, key=lambda slot: -drop.get(slot, 0.0))
    # studies of older releases have no `named`, and go on as they began
    named = introduced(plan, view.header.get("named", ()), order)
    return [*asked, *[a for a in named if a not in asked]]


def introduced(plan: Plan, names: Iterable[str], slots: Iterable[str]) -> list[Architecture]:
    """One architecture for each of some modules: the module alone, with middling settings.

    Args:
        plan: the plan of the search.
        names: names of modules.
        slots: the slots, the best first; each module gets the first one that it fits within the limits.
    """
    found, order, base = [], list(slots), plan.space.base_architecture()
    for name in names:
        for slot in order:
            genes = [g for g in plan.space[slot].genes if g.module == name and g != NONE]
            genes = [g for g in genes if over_limit(plan.config, plan.cost(base.with_gene(slot, g))) is None]
            plain = [g for g in genes if g.as_dict().get("residual", "none") == plan.residual]
            if genes := plain or genes:
                middle = sorted(genes, key=lambda g: plan.params(slot, g))[len(genes) // 2]
                found.append(base.with_gene(slot, middle))
                break
    return found
