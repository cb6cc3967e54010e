"""Liveness of slots: the mAP of a trained detector while the output of one slot is set to zero."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from nas_attn.detector.blocks import bottlenecks
from nas_attn.detector.model.rows import Rewritten, absolute, rows_of
from nas_attn.detector.proxy.trainer import ProxyTrainer
from nas_attn.detector.weights.initial_weights import modules_at
from nas_attn.space.slot import REPLACE, Slot


def measure(
    trainer: ProxyTrainer, base_rows: list[list[Any]], slots: Iterable[Slot], done: Rewritten
) -> dict[str, dict[str, Any]]:
    """Slot name -> the figures of the trained model on val while this slot is silenced, as in `Evaluation.scores`.

    A mAP50-95 above that of the unchanged model means that the slot is undertrained and does harm.

    Args:
        trainer: a trainer that has finished its training.
        base_rows: rows of the base's YAML.
        slots: the slots to silence, filled or empty.
        done: the rewrite of the base into the trained model.
    """
    found = {}
    for slot in slots:
        with silenced(trainer.ema.ema, base_rows, slot, done):
            found[slot.name] = trainer.figures()
    return found


@contextmanager
def silenced(model: Any, base_rows: list[list[Any]], slot: Slot, done: Rewritten) -> Iterator[None]:
    """A context in which the output of a slot is zero; the layers after it run as usual, on these zeros.

    Args:
        model: the model built from `done`.
        base_rows, slot, done: as `measure` takes them.
    """
    with ExitStack() as stack:
        if slot.name in done.places:
            for module in modules_at(model, slot, done):
                stack.callback(module.register_forward_hook(_zero).remove)
        elif slot.inside is not None:
            for _, _, bottleneck in bottlenecks(model.model[done.row_map[slot.row]]):
                conv = bottleneck.cv2
                if slot.inside.mode == REPLACE:  # as for attention in its place, batch norm and activation stay
                    conv = getattr(conv, "conv", conv)
                stack.callback(conv.register_forward_hook(_zero).remove)
        elif not slot.readers:  # at the source, so that filled slots on edges after it read the zeros
            stack.callback(model.model[done.outputs[slot.row]].register_forward_hook(_zero).remove)
        else:
            for row, at in _edges(base_rows, slot, done).items():
                stack.callback(model.model[row].register_forward_pre_hook(_zero_inputs(at)).remove)
        yield


def _edges(base_rows: list[list[Any]], slot: Slot, done: Rewritten) -> dict[int, set[int]]:
    """Row of the built model -> positions of those of its inputs that come from an empty slot on edges.

    If another slot on a part of these edges is filled, it comes after the empty one, and its row is the reader.
    """
    built = rows_of(done.yaml)
    own = set(done.row_map.values())
    on_edge: dict[tuple[int, int], list[int]] = {}  # (reader, input) -> inserted rows before it, nearest first
    served: dict[int, set[int]] = {}  # inserted row -> readers after it
    for reader, row in done.row_map.items():
        for i, source in enumerate(absolute(base_rows[reader][0], reader)):
            if source != slot.row:
                continue
            way = on_edge[reader, i] = []
            before = absolute(built[row][0], row)[i]
            while before not in own:
                way.append(before)
                served.setdefault(before, set()).add(reader)
                (before,) = absolute(built[before][0], before)
    found: dict[int, set[int]] = {}
    for (reader, i), way in on_edge.items():
        if reader in slot.readers:
            behind = [row for row in way if served[row] < set(slot.readers)]
            row, at = (behind[-1], 0) if behind else (done.row_map[reader], i)
            found.setdefault(row, set()).add(at)
    return found


def _zero(_module: nn.Module, _inputs: Any, output: Any) -> Any:
    return output * 0


def _zero_inputs(at: Container[int]) -> Callable[..., Any]:
    """A forward pre-hook that sets some input maps of a layer to zero.

    Args:
        at: positions of these maps among the inputs.
    """

    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        first, *rest = inputs
        if not isinstance(first, list | tuple):
            return (first * 0, *rest)
        return ([x * 0 if i in at else x for i, x in enumerate(first)], *rest)

    return hook
