"""Blocks of Ultralytics with attention inside: at the end of each bottleneck's residual branch, or in place of its
second convolution; in blocks without bottlenecks, in place of the block's own attention, or on its concat.

Each block is a subclass of Ultralytics' block and is built with the same arguments, so the tensors that both have keep
their keys. Ultralytics' YAML parser knows the output width of its own classes only; it assumes that any other class
keeps the width of its input. Therefore a block here returns a list that holds its one map, and the next row is
Ultralytics' `Index`, which states the width.

This file and its class names must stay as they are: checkpoints of earlier releases name them.

Ultralytics is imported inside functions, because importing it registers these classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from threading import Lock
from typing import Any

from torch import Tensor, nn

from nas_attn.attention import registry
from nas_attn.attention.residual import Scaled
from nas_attn.space.slot import CONCAT, INNER, INSERT, REPLACE

NAMES = ("A2C2f", "BottleneckCSP", "C2", "C2f", "C3", "C3k2", "C3x", "RepNCSPELAN4")
LAST = {"RepNCSPELAN4": "cv4", "SPPELAN": "cv5", "SPPF": "cv2"}  # block -> its convolution of the concat
WHOLE = ("C2PSA", "C2fPSA", "SPPELAN", "SPPF")  # blocks without bottlenecks that can hold attention
SUFFIX = "WithAttention"
_noting: ContextVar[tuple[dict[nn.Module, tuple[Any, ...]], ...]] = ContextVar("noting", default=())
_counting = Lock()
_notes = 0


class AttentionConv(nn.Module):
    """Attention in place of a convolution, whose batch norm and activation stay: (N, C, H, W) -> (N, C', H, W).

    If the convolution changed the number of channels, a pointwise convolution after the attention changes it.

    Args:
        attention: a module that keeps the shape (N, C, H, W).
        replaced: the `Conv` that it replaces.
    """

    def __init__(self, attention: nn.Module, replaced: Any) -> None:
        super().__init__()
        self.attention = attention
        widths = replaced.conv.in_channels, replaced.conv.out_channels
        self.project = nn.Conv2d(*widths, 1, bias=False) if widths[0] != widths[1] else nn.Identity()
        self.bn, self.act = replaced.bn, replaced.act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.project(self.attention(x))))


class AttentionBottleneck(nn.Module):
    """A bottleneck with attention at the end of its residual branch: x + A(conv(conv(x))), (N, C, H, W) -> the same.

    A bottleneck without a shortcut returns the branch alone.

    Args:
        bottleneck: the original bottleneck; this one takes over its convolutions.
        attention: a module that keeps the shape (N, C, H, W).
    """

    def __init__(self, bottleneck: Any, attention: nn.Module) -> None:
        super().__init__()
        self.cv1, self.cv2, self.add = bottleneck.cv1, bottleneck.cv2, bottleneck.add
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        branch = self.attention(self.cv2(self.cv1(x)))
        return x + branch if self.add else branch


class AttentionInside(nn.Module):
    """Attention in place of the attention that a block of Ultralytics has: (N, C, H, W) -> the same.

    Args:
        attention: a module that keeps the shape (N, C, H, W).
    """

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x)


class AttentionBeforeConv(nn.Module):
    """A convolution of Ultralytics after attention: (N, C, H, W) -> (N, C', H, W).

    Args:
        attention: a module that keeps the shape (N, C, H, W).
        conv: the original `Conv`; this one takes over its layers.
    """

    def __init__(self, attention: nn.Module, conv: Any) -> None:
        super().__init__()
        self.attention = attention
        self.conv, self.bn, self.act = conv.conv, conv.bn, conv.act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(self.attention(x))))


HOLDERS: dict[str, type[Any]] = {
    INSERT: AttentionBottleneck,
    REPLACE: AttentionConv,
    INNER: AttentionInside,
    CONCAT: AttentionBeforeConv,
}


class _WithAttention(nn.Module):
    """The base class of all blocks here.

    Args:
        arguments: constructor arguments of the block, as Ultralytics' parser resolves them.
        genes: one [mode, class name, arguments...] for each module that goes into every place of that mode.

    Raises:
        ValueError: the block has no place of a mode.
    """

    def __init__(self, arguments: Sequence[Any], genes: Sequence[Sequence[Any]]) -> None:
        super().__init__(*arguments)
        for mode, name, *values in genes:
            if mode in (INNER, CONCAT) and mode in whole_places(self):
                self._fill(mode, name, values)
                continue
            if mode not in (INSERT, REPLACE):
                raise ValueError(f"attention must be at a place that the block has, but got '{mode}'.")
            for parent, child, bottleneck in list(bottlenecks(self)):
                if mode == REPLACE:
                    bottleneck.cv2 = AttentionConv(_build(name, values), bottleneck.cv2)
                else:
                    setattr(parent, child, AttentionBottleneck(bottleneck, _build(name, values)))

    def _fill(self, mode: str, name: str, values: Sequence[Any]) -> None:
        if mode == INNER:
            for holder in _own_attention(self):
                holder.attn = AttentionInside(_build(name, values))
        else:
            last = LAST[type(self).__name__.removesuffix(SUFFIX)]
            setattr(self, last, AttentionBeforeConv(_build(name, values), getattr(self, last)))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [super().forward(x)]

    def attentions(self, mode: str) -> list[nn.Module]:
        """The attention modules of one mode, in the order of their places."""
        return [m.attention for m in _own(self) if isinstance(m, HOLDERS[mode])]

    def projections(self) -> list[nn.Conv2d]:
        """The pointwise convolutions that change the number of channels after attention, in the same order."""
        replaced = (m.project for m in _own(self) if isinstance(m, AttentionConv))
        return [project for project in replaced if isinstance(project, nn.Conv2d)]


def bottlenecks(block: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """(parent, attribute name, bottleneck) for every bottleneck of a block outside attention, in order."""
    from ultralytics.nn.modules.block import Bottleneck

    for parent in _own(block):
        for name, child in _children(parent):
            if isinstance(child, Bottleneck | AttentionBottleneck):
                yield parent, name, child


def _own(module: nn.Module) -> Iterator[nn.Module]:
    """A block's modules, outermost first. Inserted attention is left out, because it may hold bottlenecks too."""
    yield module
    for _, child in _children(module):
        yield from _own(child)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    opened = isinstance(module, tuple(HOLDERS.values()))
    return ((name, child) for name, child in module.named_children() if not (opened and name == "attention"))


def places(block: nn.Module) -> dict[str, tuple[int, int, int]]:
    """The places for attention in a block: mode -> (channels, number of sites, weights per site besides the module).

    The result is empty for a block without bottlenecks, and for one whose bottlenecks differ. It has no `replace` if
    the second convolution of the bottlenecks is not 3x3 with stride 1. For `replace`, the weights of that convolution
    are subtracted, so the number may be negative.
    """
    convolutions = [b.cv2.conv for _, _, b in bottlenecks(block)]
    if type(block).__name__ not in NAMES or len({_form(c) for c in convolutions}) != 1:
        return {}
    conv = convolutions[0]
    found = {INSERT: (conv.out_channels, len(convolutions), 0)}
    if conv.kernel_size == (3, 3) and conv.stride == (1, 1):
        projection = conv.in_channels * conv.out_channels if conv.in_channels != conv.out_channels else 0
        found[REPLACE] = (conv.in_channels, len(convolutions), projection - conv.weight.numel())
    return found


def whole_places(block: nn.Module) -> dict[str, tuple[int, int]]:
    """The places for attention outside bottlenecks: mode -> (channels, number of sites).

    `inner` stands for the attention of the block itself (`attn` of each PSABlock), `concat` for the concat before the
    last convolution.
    """
    name = type(block).__name__.removesuffix(SUFFIX)
    if name in LAST:
        return {CONCAT: (getattr(block, LAST[name]).conv.in_channels, 1)}
    holders = _own_attention(block) if name in WHOLE else []
    return {INNER: (holders[0].ffn[0].conv.in_channels, len(holders))} if holders else {}


def _own_attention(block: nn.Module) -> list[Any]:
    """The parts of a block that hold its own attention."""
    from ultralytics.nn.modules.block import PSABlock

    return [m for m in _own(block) if isinstance(m, PSABlock)]


@contextmanager
def noted_arguments() -> Iterator[dict[nn.Module, tuple[Any, ...]]]:
    """A context that records the blocks that this thread builds: block -> arguments of its constructor.

    A block does not store its arguments, and the parser computes them from the row, the scale and rules that differ
    between versions of Ultralytics. The constructors stay wrapped as long as at least one thread records. Blocks that
    were built with keyword arguments are left out.
    """
    noted: dict[nn.Module, tuple[Any, ...]] = {}
    _wrap(+1)
    token = _noting.set((*_noting.get(), noted))
    try:
        yield noted
    finally:
        _noting.reset(token)
        _wrap(-1)


def _wrap(change: int) -> None:
    """Change the number of recording threads: the first one wraps the constructors, the last one restores them."""
    global _notes
    own = [cls.__mro__[2] for cls in classes().values()]
    with _counting:
        before, _notes = _notes, _notes + change
        for cls in own if 0 in (before, _notes) else ():
            init = vars(cls)["__init__"]
            setattr(cls, "__init__", _noted(init) if change > 0 else init.__wrapped__)  # noqa: B010 (mypy)


def _noted(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def wrapper(self: nn.Module, *arguments: Any, **keywords: Any) -> None:
        init(self, *arguments, **keywords)
        for noted in _noting.get():  # after `init`, because there a class gives its base class other arguments
            noted[self] = arguments
            if keywords:
                del noted[self]

    return wrapper


def _form(conv: nn.Conv2d) -> tuple[Any, ...]:
    return conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.groups


def _build(name: str, arguments: Sequence[Any]) -> nn.Module:
    return Scaled(*arguments) if name == "Scaled" else registry.by_class_name(name).cls(*arguments)


def classes() -> dict[str, type[nn.Module]]:
    """Name of a block -> its subclass here, for every block that the installed Ultralytics has."""
    import ultralytics.nn.tasks  # noqa: F401 (its import may call this function, so it comes before the cache)

    return _classes()


@lru_cache(maxsize=1)
def _classes() -> dict[str, type[nn.Module]]:
    from ultralytics.nn.modules import block

    return {name: _class(name, getattr(block, name)) for name in (*NAMES, *WHOLE) if hasattr(block, name)}


def _class(name: str, base: type[nn.Module]) -> type[nn.Module]:
    """The subclass of a block. `__getattr__` below finds it by name, so that it can be pickled."""
    own = name + SUFFIX
    body: dict[str, Any] = {"__module__": __name__, "__qualname__": own, "__doc__": f"`{name}` with attention inside."}
    if hasattr(base, "forward_split"):

        def forward_split(self: Any, x: Tensor) -> list[Tensor]:
            return [base.forward_split(self, x)]

        body["forward_split"] = forward_split  # Ultralytics' export replaces `forward` by it
    return type(own, (_WithAttention, base), body)


def __getattr__(name: str) -> Any:
    found = classes().get(name.removesuffix(SUFFIX)) if name.endswith(SUFFIX) else None
    if found is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return found
