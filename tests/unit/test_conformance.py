"""Every conformance check catches a module that is broken in just that way, and says what to do."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import pytest
import torch
from torch import nn

from nas_attn.attention import Choice, registry
from nas_attn.attention.forms import fast_wanted
from nas_attn.attention.validation import read_settings
from nas_attn.conformance import (
    BY_NAME,
    CHECKS,
    DECLARED,
    FAILED,
    MISSING,
    NOT_RUN,
    PASSED,
    STALE,
    UNFIT,
    check_modules,
    check_processes,
    chosen_settings,
    declaration,
    plain_settings,
    run_check,
)
from nas_attn.errors import CheckFailed, SlotRefused


class Plain(nn.Module):
    """A gate that does everything right; the others break one thing each."""

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, k_size, padding=k_size // 2, groups=dim)

    def forward(self, x):
        return x * self.conv(x).sigmoid()


class Shrinking(Plain):
    def forward(self, x):
        return super().forward(x)[:, :, ::2]


class TwoOutputs(Plain):
    def forward(self, x):
        return x, super().forward(x)


class Infinite(Plain):
    def forward(self, x):
        return super().forward(x) / (x.shape[2] - 1)


class DeadParameter(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.unused = nn.Parameter(torch.zeros(dim))


class DeadSetting(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, 3)


class HonestAlias(DeadSetting):
    @classmethod
    def effective(cls, height, width, *, k_size):
        return ()


class DtypeLeak(Plain):
    def forward(self, x):
        return super().forward(x).float()


class Imprecise(Plain):
    def forward(self, x):
        return x * ((self.conv(x) + 100) - 100)


class Overflowing(Plain):
    def forward(self, x):
        energy = x.square().sum((2, 3), keepdim=True)
        return super().forward(x) * energy / (1 + energy)


class BatchDependent(Plain):
    def forward(self, x):
        return super().forward(x) - x.mean((0, 2, 3), keepdim=True)


class Counting(Plain):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Caching(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += 1
        return super().forward(x) + 0 * self.seen.to(x.dtype)


SEEN: list[int] = []


class Logging(Plain):
    def forward(self, x):
        SEEN.append(1)
        return super().forward(x)


class InPlace(Plain):
    def forward(self, x):
        return x.mul_(self.conv(x).sigmoid())


class WithoutCost(Plain):
    def forward(self, x):
        return super().forward(x) + torch.lgamma(x.abs() + 1)


class HidingFromTraces(Plain):
    def forward(self, x):
        return x if torch.jit.is_tracing() else super().forward(x)


class TwoForms(Plain):
    share = 1.0

    def forward(self, x):
        return self.fast(x) if fast_wanted() else self.reference(x)

    def reference(self, x):
        return x * self.conv(x).sigmoid()

    def fast(self, x):
        gate = 1 / (1 + (-self.conv(x)).exp())
        return x * (self.share * gate + (1 - self.share) * gate.detach())


class WrongGradient(TwoForms):
    share = 0.999


class WrongFast(TwoForms):
    def fast(self, x):
        return 1.0001 * self.reference(x)


class Random(Plain):
    def forward(self, x):
        return super().forward(x) + 0.001 * torch.randn_like(x)


class Unrepeatable(Plain):
    def forward(self, x):
        y = super().forward(x)
        return y + torch.zeros_like(x).detach().put_(torch.zeros(1, dtype=torch.long), torch.ones(1))


class BurntSize(Plain):
    def forward(self, x):
        batch, channels, height, width = (int(n) for n in x.shape)
        return super().forward(x).reshape(batch, channels, height * width).reshape(batch, channels, height, width)


class NoOnnx(Plain):
    def forward(self, x):
        return super().forward(x) + torch.special.i1e(x)


class GraphBreak(Plain):
    def forward(self, x):
        return super().forward(x) if x.sum().item() < 1e9 else x


class Viewing(Plain):
    def forward(self, x):
        return super().forward(x.view(x.shape[0], -1).view(x.shape))


class OnTheCpu(Plain):
    def forward(self, x):
        return super().forward(x) + torch.zeros(1, device="cpu").expand(x.shape[0], x.shape[1], 1, 1)


class SwallowsMeta(Plain):
    def forward(self, x):
        return super().forward(x) if x.device.type != "meta" else torch.zeros(x.shape, device="cpu")


class HiddenWeight(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.hidden = torch.randn(1)

    def forward(self, x):
        return super().forward(x) * self.hidden.to(x.dtype)


class ForbiddenChild(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.bn = nn.Identity()


class Conv(Plain):
    """Ultralytics has a class of this name."""


class FusedTwice(nn.Module):
    """Takes Ultralytics' layer apart in its own forward pass; fusing then removes a part that it calls."""

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        from ultralytics.nn.modules import Conv

        super().__init__()
        self.inner = Conv(dim, dim, k_size, g=dim)

    def forward(self, x):
        return x + 2 * self.inner.conv(x) if not hasattr(self.inner, "bn") else x + self.inner.bn(self.inner.conv(x))


class Silent(Plain):
    """Nothing comes out at first, so nothing can be learned from it."""

    def forward(self, x):
        return 0 * super().forward(x)


class Unexplained(Plain):
    """Refuses widths that nobody was told of."""

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        if dim % 64:
            raise SlotRefused("must divide by 64")
        super().__init__(dim, k_size)


class Lenient(Plain):
    """Is built where it says that it cannot stand."""

    @classmethod
    def unsupported(cls, channels, *, k_size):
        return "64 must divide the channels" if channels % 64 else None


class FitsNothing(Plain):
    @classmethod
    def unsupported(cls, channels, *, k_size):
        return "7 must divide the channels"


class BatchNorm(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x):
        return self.norm(super().forward(x))


class Choosy(Plain):
    """Large maps are too much for it."""

    @classmethod
    def attention_logits(cls, channels, height, width, *, k_size):
        return (height * width) ** 2


BROKEN = [  # class, the check that catches it, words of the message
    (Unexplained, "construction", ["`unsupported(16, ...)` must give the reason", "must divide by 64"]),
    (Lenient, "construction", ["must raise SlotRefused", "64 must divide"]),
    (FitsNothing, "maps", ["must fit one of the widths", "7 must divide"]),
    (DeadSetting, "settings", ["every setting must change", "k_size 3 and 5", "effective"]),
    (ForbiddenChild, "names", ["children must not be called", "bn in ForbiddenChild", "Rename"]),
    (Conv, "names", ["name of its own", "Conv", "Rename"]),
    (Shrinking, "maps", ["keep the shape", "(1, 16, 1, 3) for (1, 16, 2, 3)", "2x3", "Pad"]),
    (TwoOutputs, "maps", ["must return one tensor", "tuple"]),
    (Infinite, "maps", ["must be finite", "1x1"]),
    (BatchNorm, "single value", ["must not raise", "more than 1 value per channel"]),
    (DeadParameter, "gradients", ["every parameter must receive a gradient", "unused", "GPUs"]),
    (DtypeLeak, "half", ["return the type", "torch.float32 for torch.float16", "cast back"]),
    (DtypeLeak, "bfloat16", ["return the type", "torch.float32 for torch.bfloat16"]),
    (Imprecise, "bfloat16", ["within 5%", "float32"]),
    (Imprecise, "autocast", ["within 5%", "autocast"]),
    (Overflowing, "large in half", ["must be finite", "scale 30", "float32"]),
    (Viewing, "layouts", ["must not raise", "view", "test_conformance.py, line "]),
    (OnTheCpu, "meta", ["must not raise", "cpu"]),
    (SwallowsMeta, "meta", ["stay on the input's device", "cpu for meta"]),
    (Random, "deterministic", ["equal runs must give equal", "deterministic"]),
    (Unrepeatable, "deterministic", ["deterministic algorithms on", "put_", "declare"]),
    (BatchDependent, "batch", ["must not depend on its batch"]),
    (HiddenWeight, "copies", ["its state_dict must compute the same", "buffers"]),
    (Counting, "no trace", ["must leave no trace", "attributes of the module: calls"]),
    (Caching, "no trace", ["must leave no trace", "buffers"]),
    (Logging, "no trace", ["must leave no trace", "process"]),
    (Random, "no trace", ["must leave no trace", "random state"]),
    (InPlace, "no trace", ["must leave its input as it is", "Copy"]),
    (Silent, "residual", ["must be able to leave the identity", "gamma"]),
    (WrongFast, "forms", ["equal outputs", "0.0001", "change `fast`"]),
    (WrongGradient, "forms", ["equal gradients", "change `fast`"]),
    (WithoutCost, "cost", ["must have a listed cost", "lgamma", "handles.py"]),
    (HidingFromTraces, "cost", ["as torch's FlopCounterMode", "0 FLOPs", "138,240 by torch"]),
    (FusedTwice, "fuse", ["`fuse()` must change no output", "relative difference"]),
    (Plain, "fresh process", ["new process that imports only torch", "No module named", "top level"]),
    (NoOnnx, "onnx", ["must not raise", "i1e"]),
    (BurntSize, "onnx dynamic", ["exported graph must", "(3, 16, 10, 9), recorded for (2, 16, 7, 6)", "x.shape"]),
    (GraphBreak, "compile", ["without a graph break", "item"]),
]


@pytest.fixture
def entered(monkeypatch):
    """(class, what it cannot do) -> its entry, in the registry for the time of one test."""
    from ultralytics.nn import tasks

    registry.entries()
    known = set(vars(tasks))

    def enter(cls, cannot=None):
        settings = (*read_settings(cls, ""), registry.RESIDUAL)
        entry = registry.ModuleEntry(cls.__name__.lower(), cls, "test", "", settings, "", cannot or {})
        monkeypatch.setitem(registry._TABLE, entry.name, entry)
        return entry

    yield enter
    for name in set(vars(tasks)) - known:  # what the checks made known to Ultralytics
        delattr(tasks, name)


def test_every_check_has_a_module_that_fails_it():
    assert {check for _, check, _ in BROKEN} == set(BY_NAME)
    assert all(check.meaning and (check.excuse is None or check.excuse in registry.LIMITS) for check in CHECKS)
    assert {check.excuse for check in CHECKS} - {None} == set(registry.LIMITS)


@pytest.mark.parametrize(("cls", "check", "words"), [pytest.param(*b, id=f"{b[0].__name__}-{b[1]}") for b in BROKEN])
def test_it_is_caught(entered, cls, check, words):
    entry = entered(cls)
    result = run_check(BY_NAME[check], entry, entry.defaults())
    assert result.state == FAILED and result.wrong
    assert all(word in result.reason for word in words), result.reason
    assert (result.module, result.check, result.gene) == (entry.name, check, f"{entry.name}(k_size=3)")


def test_a_sound_module_passes_everything(entered):
    entry, two = entered(Plain), entered(TwoForms)
    ((_, results),) = check_modules([entry], checks=[c for c in CHECKS if c.name != "fresh process"])
    assert {r.state for r in results if r.check != "forms"} == {PASSED}
    assert {r.state for r in results if r.check == "forms"} == {UNFIT}
    assert {r.gene for r in results if r.check == "maps"} == {
        "plain(k_size=3)",
        "plain(k_size=5)",
    }
    assert run_check(BY_NAME["forms"], two, two.defaults()).state == PASSED
    assert run_check(BY_NAME["settings"], entered(HonestAlias), two.defaults()).state == PASSED


class BrokenAtFive(Plain):
    def forward(self, x):
        return super().forward(x) if self.conv.kernel_size[0] == 3 else super().forward(x)[:, :, ::2]


def test_what_fails_a_basic_check_is_checked_no_further(entered):
    entry = entered(BrokenAtFive, {"half": "for the test's sake"})
    ((_, results),) = check_modules([entry], checks=[BY_NAME[n] for n in ("maps", "half", "batch", "fresh process")])
    states = {(r.check, r.gene.partition("(")[2].rstrip(")")): r.state for r in results}
    assert states["maps", "k_size=3"] == PASSED and states["maps", "k_size=5"] == FAILED
    assert states["batch", "k_size=3"] == PASSED
    for check in ("half", "batch", "fresh process"):
        assert states[check, "k_size=5"] == NOT_RUN
    assert states["half", ""] == STALE and states["fresh process", "k_size=3"] == FAILED
    assert next(r.reason for r in results if r.state == NOT_RUN) == "fails maps"


def test_the_new_process_judges_each_module_for_itself(entered):
    good, hidden = registry.get("eca"), entered(Infinite)
    broken = [(good, good.defaults()), (hidden, hidden.defaults()), (good, chosen_settings(good)[1])]
    results = check_processes(BY_NAME["fresh process"], broken)
    assert [r.state for r in results] == [PASSED, FAILED, PASSED]
    ((_, found),) = check_modules([good], checks=[BY_NAME["fresh process"]])
    assert [r.state for r in found] == [PASSED] * len(chosen_settings(good))


def test_a_declared_inability_excuses_and_is_never_passed(entered):
    reason = "adds noise on purpose"
    entry = entered(Random, {"deterministic": reason})
    result = run_check(BY_NAME["deterministic"], entry, entry.defaults())
    assert (result.state, result.reason, result.wrong) == (DECLARED, reason, False)
    assert run_check(BY_NAME["no trace"], entry, entry.defaults()).state == FAILED


@pytest.mark.parametrize(
    ("cls", "key", "check", "state"),
    [
        (BatchNorm, "single_value", "single value", DECLARED),
        (Plain, "single_value", "single value", STALE),
        (DtypeLeak, "half", "half", DECLARED),
        (Plain, "half", "half", STALE),
        (Plain, "half", "large in half", DECLARED),  # what fits a small map may overflow on a large one
        (Plain, "bfloat16", "bfloat16", STALE),
        (Plain, "meta", "meta", STALE),
        (Plain, "onnx", "onnx", STALE),
        (BurntSize, "onnx_dynamic", "onnx dynamic", DECLARED),
        (Plain, "onnx_dynamic", "onnx dynamic", STALE),
        (Plain, "compile", "compile", STALE),
        (Plain, "deterministic", "deterministic", DECLARED),  # a CPU cannot disprove it
    ],
)
def test_a_declaration_must_be_true(entered, cls, key, check, state):
    entry = entered(cls, {key: "it was so once"})
    result = declaration(BY_NAME[check], entry, plain_settings(entry))
    assert result.state == state and result.wrong == (state == STALE)
    assert "it was so once" in result.reason and ("Take the declaration out" in result.reason) == (state == STALE)


def test_a_missing_library_is_never_a_pass(entered, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for check in ("onnx", "onnx dynamic"):
        entry = entered(Plain)
        result = run_check(BY_NAME[check], entry, entry.defaults())
        assert result.state == MISSING and "nas_attn[export]" in result.reason
        excused = entered(Plain, {BY_NAME[check].excuse: "reason"})
        assert declaration(BY_NAME[check], excused, [excused.defaults()]).state == DECLARED


def test_refused_maps_are_left_out_with_the_reason(entered):
    entry = entered(Choosy)
    result = run_check(BY_NAME["maps"], entry, entry.defaults())
    assert result.state == PASSED and "80x80 refused: 40,960,000 attention logits" in result.reason


def test_the_caller_keeps_its_random_state_threads_and_flags(entered):
    entry = entered(Random)
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    for check in CHECKS:
        if not check.slow:
            run_check(check, entry, entry.defaults())
    after = torch.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def test_chosen_settings_are_the_default_and_the_ends():
    entry = registry.get("acmix")
    assert len(plain_settings(entry)) == 16 and plain_settings(entry)[0] == entry.defaults()
    assert [(s["kernel_att"], s["head"]) for s in chosen_settings(entry)] == [(7, 4), (3, 1), (9, 8)]


def test_a_failed_check_is_an_error_with_exit_code_1():
    assert CheckFailed("rule", got=1, remedy="Do.").exit_code == 1
    assert str(CheckFailed("rule", got=1, remedy="Do.")) == "rule, but got 1. Do."
