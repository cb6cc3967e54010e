"""Several detectors that are trained on the same batches, as one model: with common first rows, or with none.

A step trains the detectors one after the other, so the memory holds the activations of the common rows and of one
detector. Each detector draws its random numbers from a stream of its own, which is that of a training alone. A detector
whose loss or gradient is not finite leaves the group before it touches the common rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOST_NORM = 10.0  # of the gradient of each part, as Ultralytics clips it
NOT_FINITE = "the loss or its gradient was not finite"
SEVERAL_MAPS = ("CBLinear",)  # layers with more than one output map
MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


class TooLarge(Exception):
    """The memory is not enough for a group."""


def common_rows(models: Sequence[Any]) -> int:
    """The number of first rows that are equal in all models; the detection head is never counted.

    Args:
        models: models that Ultralytics built from YAMLs.
    """
    rows = [[str(row) for row in (*m.yaml["backbone"], *m.yaml["head"][:-1])] for m in models]
    alike = next((i for i, some in enumerate(zip(*rows, strict=False)) if len(set(some)) > 1), min(map(len, rows)))
    several = (i for i, layer in enumerate(models[0].model) if type(layer).__name__ in SEVERAL_MAPS)
    return min(alike, next(several, alike))


class Group(nn.Module):
    """Detectors with common first rows.

    Args:
        models: the detectors, for one task. With common rows, those of the first detector replace the others'.
        rows: number of common rows.

    Attributes:
        present: positions of the detectors that are still trained.
        losses: position -> mean loss items of the epoch so far, as the criterion gives them.
        failed: position -> reason, of the detectors that failed in this epoch.
        precision: dtype of autocast in forward passes; None for none.
    """

    def __init__(self, models: Sequence[Any], rows: int) -> None:
        super().__init__()
        for model in models[1:]:
            for i in range(rows):
                model.model[i] = models[0].model[i]
        # each tensor is registered once: the optimizer, the moving average and the checkpoint see it once
        self.trunk = nn.ModuleList(models[0].model[:rows])
        self.own = nn.ModuleList(nn.ModuleList(m.model[rows:]) for m in models)
        self.__dict__["models"] = list(models)
        self.present = list(range(len(models)))
        self.losses: dict[int, Any] = {}
        self.failed: dict[int, str] = {}
        self.precision: torch.dtype | None = None
        self._batches = 0
        self._states: list[tuple[Tensor, Tensor | None]] = []
        self._needed = {i for m in models for layer in m.model[rows:] for i in _sources(layer) if i < rows}

    models: list[Any]

    @property
    def stride(self) -> Tensor:
        found: Tensor = self.models[0].stride
        return found

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def criterion(self) -> _Criteria:
        return _Criteria(self.models)

    def set_head_attr(self, **given: Any) -> None:
        """Set attributes of every detection head, as Ultralytics' trainer asks for it."""
        for model in self.models:
            model.set_head_attr(**given)

    def train(self, mode: bool = True) -> Group:
        super().train(mode)
        for model in self.models:
            model.training = mode
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Group:
        for model in self.models:  # Ultralytics' own method moves the tensors of the head too
            model._apply(fn)
        return self

    def parts(self) -> Iterator[list[nn.Parameter]]:
        """The parameters of each part whose gradient is clipped by itself: the common rows, and each detector's own."""
        if self.trunk:
            yield list(self.trunk.parameters())
        for k in self.present:
            yield list(self.own[k].parameters())

    def begin_epoch(self) -> None:
        """Start the means of the losses, the failures, and each detector's stream of random numbers anew."""
        self._batches, self.losses, self.failed = 0, {}, {}
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        state = torch.get_rng_state(), cuda
        self._states = [state] * len(self.models)

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, Any]:
        """Train all detectors on a batch, up to their gradients.

        Returns:
            The mean loss, whose `backward` does nothing more, and the mean loss items.

        Raises:
            TooLarge: the memory is not enough.
            RuntimeError: no detector is left.
        """
        try:
            return self._trained(batch)
        except RuntimeError as error:
            if not _of_memory(error):
                raise
            reason = str(error)
        raise TooLarge(reason)  # outside `except`: the traceback would keep the activations

    def _trained(self, batch: dict[str, Any]) -> tuple[Tensor, Any]:
        trunk = self._common(batch["img"])
        grads = {i: torch.zeros_like(y) for i, y in trunk.items() if y.requires_grad}
        found, reason = {}, ""
        for k in list(self.present):
            leaves = {i: y.detach().requires_grad_(i in grads) for i, y in trunk.items()}
            try:
                total, items = self._backward(k, batch, leaves)
            except (RuntimeError, ValueError) as error:
                if _of_memory(error):
                    raise
                reason = self._fail(k, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
                continue
            own = {i: leaf.grad for i, leaf in leaves.items() if leaf.grad is not None}
            if not all(bool(torch.isfinite(value).all()) for value in (total, *own.values())):
                reason = self._fail(k, NOT_FINITE)
                continue
            for i, grad in own.items():
                grads[i] += grad
            found[k] = total, items
        if not found:
            raise RuntimeError(f"no architecture of the group is left; the last one: {reason}")
        if grads:
            torch.autograd.backward([trunk[i] for i in grads], [g / len(found) for g in grads.values()])
        for k, (_, items) in found.items():
            self.losses[k] = _mean(self.losses.get(k), items, self._batches)
        self._batches += 1
        mean = torch.stack([loss for loss, _ in found.values()]).mean()
        return mean + torch.zeros_like(mean, requires_grad=True), _average([items for _, items in found.values()])

    def _backward(self, k: int, batch: dict[str, Any], leaves: dict[int, Tensor]) -> tuple[Tensor, Any]:
        with self._stream(k):
            with self._cast():
                loss, items = self.models[k].loss(batch, self._detected(k, leaves))
            total = loss.sum()
            if bool(torch.isfinite(total)):
                total.backward()
        return total.detach(), items

    def _fail(self, k: int, reason: str) -> str:
        self.leave(k)
        self.failed[k] = reason
        return reason

    def leave(self, k: int) -> None:
        """Train the detector at a position no further."""
        self.present.remove(k)
        self.losses.pop(k, None)
        for parameter in self.own[k].parameters():
            parameter.grad = None

    def _common(self, image: Tensor) -> dict[int, Tensor]:
        """The outputs of the common rows that the detectors read: row -> output. The image is row -1."""
        x = image
        outputs: list[Tensor] = []
        with self._cast():
            for layer in self.trunk:
                if layer.f != -1:
                    x = _read(layer.f, x, outputs)
                x = layer(x)
                outputs.append(x)
        read = self._needed | {len(outputs) - 1}
        return {i: outputs[i] if i >= 0 else image for i in sorted(read)}

    def _detected(self, k: int, leaves: dict[int, Tensor]) -> Any:
        rows = len(self.trunk)
        x = leaves[rows - 1]
        outputs: list[Any] = [leaves.get(i) for i in range(rows)]  # others are read by no layer here
        for layer in self.own[k]:
            if layer.f != -1:
                x = _read(layer.f, x, outputs)
            x = layer(x)
            outputs.append(x)
        return x

    def _cast(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision is None:
            return contextlib.nullcontext()
        cast: contextlib.AbstractContextManager[Any] = torch.autocast(self.device.type, self.precision)
        return cast

    @contextlib.contextmanager
    def _stream(self, k: int) -> Iterator[None]:
        """A context with the random state of a detector."""
        cpu, cuda = self._states[k]
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, self.device)
        yield
        self._states[k] = torch.get_rng_state(), None if cuda is None else torch.cuda.get_rng_state(self.device)


class _Criteria:
    """The criteria of all detectors, as Ultralytics' trainer knows one: some change their weights each epoch."""

    def __init__(self, models: Sequence[Any]) -> None:
        self.models = models

    def update(self) -> None:
        for model in self.models:
            if getattr(model, "criterion", None) is None:
                model.criterion = model.init_criterion()
            if hasattr(model.criterion, "update"):
                model.criterion.update()


def _of_memory(error: Exception) -> bool:
    return any(words in str(error) for words in MEMORY)


def _sources(layer: Any) -> list[int]:
    """The rows whose outputs a layer reads by their number."""
    numbers = [layer.f] if isinstance(layer.f, int) else layer.f
    return [i if i >= 0 else layer.i + i for i in numbers]


def _read(source: int | list[int], x: Any, outputs: list[Any]) -> Any:
    if isinstance(source, int):
        return outputs[source]
    return [x if i == -1 else outputs[i] for i in source]


def _mean(before: Any, items: Any, batches: int) -> Any:
    """The mean of the loss items after one more batch, as Ultralytics' trainer takes it."""
    if before is None:
        return items
    if isinstance(items, dict):
        return {key: (before[key] * batches + value) / (batches + 1) for key, value in items.items()}
    return (before * batches + items) / (batches + 1)


def _average(every: list[Any]) -> Any:
    if isinstance(every[0], dict):
        return {key: torch.stack([items[key] for items in every]).mean(0) for key in every[0]}
    return torch.stack(every).mean(0)
