"""`ModuleEntry`: one module of the registry, and everything that the rest of the package may ask about it."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_attn.attention.choice import Setting
from nas_attn.errors import UnknownName, UserError

RESIDUAL = Setting("residual", ("none", "scaled"), "none")
CHANNEL_ARGUMENTS = ("in_planes", "out_planes", "dim", "channels", "c1", "c2")
MAX_LOGITS = 2**24  # attention logits per image; if there are more, the map is too large for the module

LIMITS = {  # abilities that a module may lack if it declares so; it must have all others
    "single_value": "train on one value per channel (batch 1 on a 1x1 map)",
    "deterministic": "repeat its gradients bit for bit on CUDA",
    "half": "run in float16",
    "bfloat16": "run in bfloat16",
    "meta": "run on the meta device",
    "compile": "be compiled without a graph break",
    "onnx": "be exported to ONNX",
    "onnx_dynamic": "be exported to ONNX for any map size at once",
}


@dataclass(frozen=True)
class ModuleEntry:
    """One attention module: its class, its settings and its declared limits.

    Attributes:
        name: the name in the grammar, e.g. `acmix`.
        cls: an `nn.Module` that maps (N, C, H, W) to the same shape.
        family: the group under which it is listed.
        paper: title and arXiv number.
        settings: its searchable hyperparameters, `residual` included.
        licence: the origin of the code, and the licence of the published code.
        cannot: abilities that it lacks: key of `LIMITS` -> reason.
        costs: op without a rule in `cost/` -> its multiply-accumulates per output element.
        weights: tells if published weights load, and from which code; empty if not checked.
    """

    name: str
    cls: type
    family: str
    paper: str
    settings: tuple[Setting, ...]
    licence: str = ""
    cannot: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, int] = field(default_factory=dict)
    weights: str = ""

    @property
    def deterministic(self) -> bool:
        """True if equal runs give equal gradients on CUDA."""
        return "deterministic" not in self.cannot

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms in which it can run; the last one is the default."""
        return ("reference", "fast") if hasattr(self.cls, "fast") else ("reference",)

    @property
    def is_none(self) -> bool:
        """True if this entry inserts nothing."""
        return not self.settings

    @property
    def origin(self) -> str:
        """The file of a user's module; for a class of the zoo or of an installed package, its Python module."""
        return getattr(sys.modules.get(self.cls.__module__), "__nas_attn_file__", "") or self.cls.__module__

    def source(self) -> bytes:
        """The source of the file that defines the class.

        Raises:
            UserError: there is no file, because the class was typed into a notebook or standard input.
        """
        text: str | None = getattr(sys.modules.get(self.cls.__module__), "__nas_attn_source__", None)
        if text is not None:
            return text.encode()
        try:
            return Path(inspect.getfile(self.cls)).read_bytes()
        except (OSError, TypeError):  # if there is no file, the version of Python decides which one `inspect` raises
            raise UserError(
                "a searched module must be defined in a file",
                got=f"'{self.name}' of `{self.cls.__module__}`",
                remedy=f"Write it to {self.name}.py, and name that file in `module_files` or with --modules.",
            ) from None

    @property
    def digest(self) -> str:
        """16 hex digits that identify the source; raises the same error as `source`."""
        return hashlib.sha256(self.source()).hexdigest()[:16]

    def defaults(self) -> dict[str, Any]:
        """The settings of a gene that names only the module: the defaults."""
        return {s.name: s.default for s in self.settings}

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Every combination of settings, in declaration order."""
        for values in itertools.product(*(s.options for s in self.settings)):
            yield dict(zip((s.name for s in self.settings), values, strict=True))

    def complete(self, settings: Mapping[str, Any], *, where: str = "") -> dict[str, Any]:
        """`settings`, completed with the defaults of all other settings.

        Args:
            settings: setting name -> value.
            where: the place that an error names.

        Raises:
            UnknownName: the module does not have a setting of that name.
            UserError: a value is not an option of its setting.
        """
        known = {s.name: s for s in self.settings}
        for name, value in settings.items():
            if name not in known:
                raise UnknownName(f"setting of {self.name}", name, known, where=where)
            if value not in known[name].options:
                raise UserError(
                    f"`{self.name}.{name}` must be one of {', '.join(map(_shown, known[name].options))}",
                    got=_shown(value),
                    where=where,
                )
        return {**self.defaults(), **settings}

    def refusal(self, channels: int, height: int, width: int, settings: Mapping[str, Any]) -> str | None:
        """The reason why these settings do not fit a (channels, height, width) map; None if they fit."""
        own = without_residual(settings)
        hook: Callable[..., str | None] | None = getattr(self.cls, "unsupported", None)
        if hook is not None and (reason := hook(channels, **own)) is not None:
            return reason
        count = getattr(self.cls, "attention_logits", None)
        if count is not None and (logits := count(channels, height, width, **own)) > MAX_LOGITS:
            return f"{logits:,} attention logits per image on a {height}x{width} map, more than {MAX_LOGITS:,}"
        return None

    def effective(self, settings: Mapping[str, Any], height: int, width: int) -> Hashable:
        """A key that is equal for two settings if, and only if, they compute the same function on this map size."""
        own = without_residual(settings)
        hook = getattr(self.cls, "effective", None)
        form = hook(height, width, **own) if hook is not None else tuple(sorted(own.items()))
        return form, settings.get("residual", "none")

    def arguments(self, channels: int, settings: Mapping[str, Any]) -> list[Any]:
        """The positional constructor arguments, cut after the last one that differs from its published default."""
        own = without_residual(settings)
        derive = getattr(self.cls, "from_settings", None)
        known = {**own, **(derive(channels, **own) if derive is not None else {})}
        values: list[Any] = []
        keep = 0
        for p in _parameters(self.cls):
            value = channels if p.name in CHANNEL_ARGUMENTS else known.get(p.name, p.default)
            values.append(list(value) if isinstance(value, tuple) else value)
            default = list(p.default) if isinstance(p.default, tuple) else p.default
            if values[-1] != default:
                keep = len(values)
        return values[:keep]

    def settings_of(self, arguments: Sequence[Any]) -> dict[str, Any]:
        """The searchable settings in these positional constructor arguments, without `residual`."""
        given = dict(zip((p.name for p in _parameters(self.cls)), arguments, strict=False))
        own = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items() if n in self.defaults()}
        return without_residual({**self.defaults(), **own})

    def row(self, channels: int, settings: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The module's name and arguments in a model YAML row, without the `nas_attn.` prefix."""
        arguments = self.arguments(channels, settings)
        if settings.get("residual", "none") == "scaled":
            return "Scaled", [self.cls.__name__, *arguments]
        return self.cls.__name__, arguments

    def extra_macs(self, channels: int, height: int, width: int, settings: Mapping[str, Any]) -> int:
        """Multiply-accumulates per image of products and sums that fvcore cannot count."""
        hook = getattr(self.cls, "extra_macs", None)
        return hook(channels, height, width, **without_residual(settings)) if hook is not None else 0


def _parameters(cls: type) -> list[inspect.Parameter]:
    found = inspect.signature(cls, eval_str=True).parameters.values()
    return [p for p in found if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]


def _shown(value: Any) -> str:
    """The value as the grammar and YAML write it: a tuple as a list."""
    return str(list(value)) if isinstance(value, tuple) else str(value)


def without_residual(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without `residual`, which the module's class does not know."""
    return {k: v for k, v in settings.items() if k != RESIDUAL.name}
