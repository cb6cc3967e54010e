"""Multiply-accumulates that modules inside a detector declare, because fvcore cannot count them.

Those of a gene are counted with the gene. This file counts those of modules that are already in the base model, for
example in an exported YAML or in the YAML of an article. A module does not store its constructor arguments, so they are
read from the YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nas_attn.attention import registry
from nas_attn.attention.entry import ModuleEntry
from nas_attn.cost.cost import COUNTING

SINCE = {"lsk": 2, "sk": 2}  # module -> first version of the counting rules that counts them; other modules: always


def declared_macs(
    entry: ModuleEntry, channels: int, height: int, width: int, settings: Mapping[str, Any], counting: int = COUNTING
) -> int:
    """Multiply-accumulates that a module declares for one map, by the rules of `counting`."""
    known = counting >= SINCE.get(entry.name, 1)
    return entry.extra_macs(channels, height, width, settings) if known else 0


def unseen_macs(model: Any, x: Any, counting: int = COUNTING) -> int:
    """The declared multiply-accumulates of all registered modules in a model, for one image.

    Args:
        model: a detector in evaluation mode; for a model without `yaml`, the result is 0.
        x: images, (N, 3, H, W).
        counting: version of the counting rules.
    """
    import torch

    found = list(_modules(model))
    if not found:
        return 0
    sizes: dict[int, tuple[int, int, int]] = {}

    def keep(module: Any, inputs: Any, _output: Any) -> None:
        _, *size = inputs[0].shape
        sizes[id(module)] = (size[0], size[1], size[2])

    hooks = [module.register_forward_hook(keep) for module, _, _ in found]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(
        declared_macs(entry, *sizes[id(module)], entry.settings_of(arguments), counting)
        for module, entry, arguments in found
        if id(module) in sizes
    )


def _modules(model: Any) -> Iterator[tuple[Any, ModuleEntry, Sequence[Any]]]:
    """(module, entry, constructor arguments) of all modules that declare multiply-accumulates."""
    entries = {e.cls: e for e in registry.entries() if hasattr(e.cls, "extra_macs")}
    known = getattr(model, "yaml", None)
    rows = [*known["backbone"], *known["head"]] if isinstance(known, dict) else []
    for layer, row in zip(model.model if rows else (), rows, strict=True):
        inside = hasattr(layer, "attentions")  # a block with attention inside; its arguments: [own arguments, genes]
        places = [(layer.attentions(g[0]), g[1:]) for g in row[3][1]] if inside else [([layer], [row[2], *row[3]])]
        for holders, (name, *arguments) in places:
            given = arguments[1:] if str(name).endswith("Scaled") else arguments
            for module in (m for holder in holders for m in holder.modules() if type(m) in entries):
                yield module, entries[type(module)], given
