"""The limits on cost (`max_gmacs`, `max_params`), applied before training."""

from __future__ import annotations

from nas_attn.cost import CostTable
from nas_attn.errors import UserError
from nas_attn.space import NONE, Architecture, SearchSpace
from nas_attn.study.config import StudyConfig
from nas_attn.study.controls import conv_control
from nas_attn.study.plan import Plan


def over_limit(config: StudyConfig, cost: dict[str, float]) -> tuple[str, float] | None:
    """The limit that a cost breaks, or None.

    Args:
        config: the configuration with the limits.
        cost: `gmacs` and `params_m` of an architecture.

    Returns:
        The reason as text, and the excess as a share of the limit (0.1: ten percent above it).
    """
    for name, limit in (("gmacs", config.max_gmacs), ("params_m", config.max_params)):
        if limit is not None and cost[name] > limit:
            return f"{cost[name]:.4g} {name} is over the limit of {limit:.4g}", cost[name] / limit - 1
    return None


def check_limits(config: StudyConfig, space: SearchSpace, table: CostTable) -> None:
    """Refuse limits that exclude every module: even the base with the cheapest module exceeds them.

    Raises:
        UserError: the limits exclude every module.
    """
    if (least := least_over(config, space, table)) is not None:
        raise UserError(
            "the limits must leave room for the base and one module",
            got=f"{least[1]} for the cheapest, {least[0]}",
            where="--max-gmacs, --max-params",
            remedy="Raise the limits, or use a smaller --model.",
        )


def least_over(config: StudyConfig, space: SearchSpace, table: CostTable) -> tuple[str, str] | None:
    """The module that exceeds the limits least, if all do.

    Args:
        config: the configuration with the limits.
        space: the search space, or the part of it that is searched.
        table: the costs.

    Returns:
        The gene with its slot as text, and the limit that it breaks; None if a module keeps to the limits, or if the
        space has none.
    """
    least: tuple[float, str, str] | None = None
    for slot, gene in ((s.slot.name, g) for s in space.slots for g in s.genes if g != NONE):
        alone = Architecture.of({s.slot.name: gene if s.slot.name == slot else NONE for s in space.slots})
        broken = over_limit(config, table.cost(alone).as_dict())
        if broken is None:
            return None
        if least is None or broken[1] < least[0]:
            least = broken[1], f"{slot}={gene}", broken[0]
    return None if least is None else least[1:]


def affordable_conv(plan: Plan, slots: tuple[str, ...]) -> Architecture | None:
    """The `conv` control that fits the limits.

    Args:
        plan: the plan of the study.
        slots: names of the slots that get a convolution.

    Returns:
        The control; its cheapest form if the usual one exceeds a limit; None if the cheapest one exceeds it, too.
    """
    for cheapest in (False, True):
        control = conv_control(plan.space, slots, plan.residual, plan.params, cheapest=cheapest)
        if over_limit(plan.config, plan.cost(control)) is None:
            return control
    return None
