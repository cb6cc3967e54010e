"""Costs that modules declare for ops without a rule: the argument `costs` of `attention(...)`, and for a layer of the
user the attribute `costs` of its class.

A declared cost holds only inside its module. So a gene always adds its own cost to a model, even if other modules
declare another cost for the same op.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from nas_attn.attention import layers, registry
from nas_attn.attention.entry import ModuleEntry
from nas_attn.cost import handles
from nas_attn.errors import UserError

if TYPE_CHECKING:
    from torch import nn

Said = Mapping[str, Mapping[str, int]]  # name of a module inside a model -> op -> multiply-accumulates per element
NOTE = "declared: "  # prefix of the keys under which handles write notes; no op has a space in its name
CALLS, ELEMENTS, SHAPELESS = (f"{NOTE}{what} " for what in ("calls", "elements", "shapeless"))


def check(entry: ModuleEntry) -> None:
    """Refuse declared costs of ops that have a rule. If the rule says that the op costs nothing, 0 is allowed.

    Raises:
        UserError: a declared cost contradicts a rule.
    """
    _check(entry.costs, f"{entry.origin}, class {entry.cls.__name__}")


def _check(costs: Mapping[str, int], where: str) -> None:
    handles.import_fvcore()
    from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS
    from fvcore.nn.jit_analysis import _IGNORED_OPS

    def ruled(op: str, macs: int) -> bool:
        traced = op.startswith(("prim::PythonOp", "prim::CallFunction"))  # fvcore ignores all other `prim` ops
        free = op in handles.ZERO or op in _IGNORED_OPS or (op.startswith("prim::") and not traced)
        return macs > 0 if free else op in handles.COUNTED or op in _DEFAULT_SUPPORTED_OPS

    if taken := sorted(op for op, macs in costs.items() if ruled(op, macs)):
        raise UserError(
            "`costs` must not name ops that have a rule",
            got=", ".join(taken),
            where=where,
            remedy="Remove them. Declare products and sums that the rules do not count in `extra_macs`.",
        )


def said(model: nn.Module) -> Said:
    """The costs that the model and the modules inside it declare.

    Raises:
        UserError: the same error as `check`.
    """
    speaking = {entry.cls: entry for entry in registry.entries() if entry.costs}
    found = {}
    for name, module in model.named_modules():
        entry = next((speaking[cls] for cls in type(module).__mro__ if cls in speaking), None)
        if entry is not None:
            check(entry)
            found[name] = entry.costs
        elif (costs := layers.declared_costs(type(module))) is not None:
            _check(costs, f"class {type(module).__name__} of {type(module).__module__}")
            found[name] = costs
    return found


def op_handles(words: Said, rules: Iterable[str]) -> dict[str, Callable[[list[Any], list[Any]], Counter[str]]]:
    """fvcore handles that note the calls and output elements of ops with a declared cost and without a rule."""
    ops = {op for costs in words.values() for op in costs} - set(rules)
    return {op: partial(_note, op) for op in sorted(ops)}


def _note(op: str, _inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    from fvcore.nn.jit_handles import get_shape

    shapes = [get_shape(value) for value in outputs]
    known = [prod(shape) for shape in shapes if shape is not None]
    return Counter({CALLS + op: 1, ELEMENTS + op: sum(known), SHAPELESS + op: len(shapes) - len(known)})


def settle(words: Said, ops: Iterable[str], counts: Mapping[str, Mapping[str, int]]) -> tuple[int, set[str]]:
    """The multiply-accumulates of ops with a declared cost; if modules are nested, the innermost declaration counts.

    Args:
        words: the result of `said`.
        ops: the ops whose calls were noted.
        counts: module name -> the notes of its calls, including those of modules inside it.

    Returns:
        The multiply-accumulates, and the ops that were called outside every module that declares their cost.

    Raises:
        UserError: an op with a cost has an output of unknown shape.
    """
    macs, unsaid = 0, set()
    for op in ops:
        speakers = [name for name, costs in words.items() if op in costs]
        own = {name: Counter(counts[name]) for name in ("", *speakers)}
        outside = "" not in speakers
        for name in speakers:
            around = max((n for n in own if n != name and (not n or name.startswith(f"{n}."))), key=len, default=None)
            if around is not None:
                own[around].subtract(counts[name])
        if outside and own.pop("")[CALLS + op]:
            unsaid.add(op)
        for name, noted in own.items():
            if words[name][op] and noted[SHAPELESS + op]:
                raise UserError(
                    "an op with a cost must give tensors of known shape",
                    got=op,
                    remedy="Declare 0 for it, and return its multiply-accumulates from the hook `extra_macs`.",
                )
            macs += words[name][op] * noted[ELEMENTS + op]
    return macs, unsaid
