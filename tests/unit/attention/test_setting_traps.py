"""Two faults of a search space, for all modules: different settings of one network, and settings without effect."""

from __future__ import annotations

import itertools

import pytest
import torch
from plain_attention import values_by_head

from nas_attn.attention import ModuleEntry, Setting, entries
from nas_attn.attention.residual import build_module

CHANNELS = 64
BY_HEAD = ("aattn", "psa")  # Ultralytics' attention
VALUES_LAST = ("shsa",)  # the values stand behind q and k, whose number is a setting
MODULES = [pytest.param(e, id=e.name) for e in entries() if not e.is_none]
every_module = pytest.mark.parametrize("entry", MODULES)
pytestmark = pytest.mark.usefixtures("one_seeded_thread")


def perturbed(entry, settings):
    """The module in float64 and eval mode, with noise on its weights; modules of equal shapes get equal weights."""
    torch.manual_seed(7)
    module = build_module(entry, CHANNELS, settings).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


# ---- aliases: two settings that give one network


def fitted(value, like):
    """`value` with the kernel size of `like`: cut if larger, padded with noise if smaller, centred; None if unlike.

    Kernel axes are the third and later axes. In a table of relative positions, (side², heads) with an odd side, the
    first axis holds two kernel axes.
    """
    if value.dim() == like.dim() == 2 and value.shape[1] == like.shape[1] and value.shape[0] != like.shape[0]:
        sides = [round(t.shape[0] ** 0.5) for t in (value, like)]
        if any(side % 2 == 0 or side**2 != t.shape[0] for side, t in zip(sides, (value, like), strict=True)):
            return None
        square = value.t().reshape(1, -1, sides[0], sides[0])
        return fitted(square, square.new_empty(1, value.shape[1], sides[1], sides[1])).flatten(2)[0].t()
    if value.dim() != like.dim() or value.shape[:2] != like.shape[:2]:
        return None
    for axis in range(2, like.dim()):
        spare = value.shape[axis] - like.shape[axis]
        if spare >= 0:
            value = value.narrow(axis, spare // 2, like.shape[axis])
        else:
            before, after = (value.new_empty(*value.shape[:axis], n, *value.shape[axis + 1 :]).normal_()
                             for n in (-spare // 2, -spare - -spare // 2))  # fmt: skip
            value = torch.cat([before, value, after], axis)
    return value


def take_weights(target, source, relabelled=False, values_last=False):
    """Copy all weights that fit or can be cut or padded; the others do not change. Returns true if all were copied.

    `relabelled`: channels of q, k and v that are stored head by head are reordered for another number of heads.
    `values_last`: of the channels of q, k and v, the last ones are common to both.
    """
    mine, theirs = target.state_dict(), source.state_dict()
    if relabelled:
        theirs = values_by_head(source, target)
    copied = {key: fitted(theirs[key], mine[key]) for key in mine if key in theirs}
    for key in (k for k in copied if k.startswith("qkv.") and values_last and mine[k].dim()):
        common = min(len(mine[key]), len(theirs[key]))
        copied[key] = torch.cat([mine[key][: len(mine[key]) - common], theirs[key][-common:]])
    copied = {key: value for key, value in copied.items() if value is not None}
    target.load_state_dict(copied, strict=False)
    return copied.keys() == mine.keys() == theirs.keys()


def agreement(one, other, x):
    """The largest difference of the outputs, relative to the largest output."""
    with torch.no_grad():
        a, b = one(x), other(x)
    return ((a - b).abs().max() / a.abs().max().clamp_min(1e-12)).item()


def standing(entry, height, width):
    """The combinations of settings, without residual, that fit such a map."""
    found = [s for s in entry.combinations() if s["residual"] == "none"]
    return [s for s in found if entry.refusal(CHANNELS, height, width, s) is None]


def check_aliases(entry, side):
    """Settings with equal `effective` keys have equal outputs, for any values of weights that only one of them has."""
    x = torch.randn(2, CHANNELS, side, side, dtype=torch.float64)
    groups: dict = {}
    for settings in standing(entry, side, side):
        groups.setdefault(entry.effective(settings, side, side), []).append(settings)
    assert groups, f"no setting of {entry.name} fits {CHANNELS} channels"
    for first, *others in groups.values():
        one = perturbed(entry, first)
        for settings in others:
            other = perturbed(entry, settings)
            take_weights(other, one, entry.name in BY_HEAD, entry.name in VALUES_LAST)
            assert agreement(one, other, x) <= 1e-12, f"called one network, but outputs differ: {first}, {settings}"


@pytest.mark.parametrize("side", [1, 3, 6])
@every_module
def test_settings_called_aliases_are_one_network(entry, side):
    check_aliases(entry, side)


@pytest.mark.parametrize("side", [1, 3, 6])
@every_module
def test_settings_of_one_network_are_called_aliases(entry, side):
    """The converse, with one setting changed at a time: equal outputs with different keys would waste a trial."""
    x = torch.randn(2, CHANNELS, side, side, dtype=torch.float64)
    default = entry.defaults()
    if entry.refusal(CHANNELS, side, side, default) is not None:
        return
    one = perturbed(entry, default)
    for settings in neighbours(entry, side):
        other = perturbed(entry, settings)
        told_apart = entry.effective(settings, side, side) != entry.effective(default, side, side)
        if take_weights(other, one) and told_apart:
            assert agreement(one, other, x) > 1e-9, settings


def neighbours(entry, side):
    """The default settings with one setting changed, if the result fits the map."""
    for setting in entry.settings:
        for option in setting.options:
            settings = {**entry.defaults(), setting.name: option}
            if option != setting.default and entry.refusal(CHANNELS, side, side, settings) is None:
                yield settings


# ---- dead settings: a choice without effect


def check_setting(entry, setting, side=24):
    """Any two options give different weights or, with the same weights, different outputs; and different keys."""
    x = torch.randn(1, CHANNELS, side, side, dtype=torch.float64)
    candidates = [{**entry.defaults(), setting.name: option} for option in setting.options]
    candidates = [s for s in candidates if entry.refusal(CHANNELS, side, side, s) is None]
    assert len(candidates) > 1, "a setting with one option is none"
    built = [perturbed(entry, s) for s in candidates]
    for (a, one), (b, other) in itertools.combinations(zip(candidates, built, strict=True), 2):
        pair = f"{setting.name} {a[setting.name]} and {b[setting.name]}"
        assert entry.effective(a, side, side) != entry.effective(b, side, side), f"called one network: {pair}"
        shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (one, other)]
        if shapes[0] == shapes[1]:
            other.load_state_dict(one.state_dict(), strict=True)
            assert agreement(one, other, x) > 1e-6, f"dead: {pair}"


SETTINGS = [pytest.param(e, s, id=f"{e.name}.{s.name}") for e in entries() for s in e.settings]


@pytest.mark.parametrize(("entry", "setting"), SETTINGS)
def test_every_setting_changes_the_network(entry, setting):
    check_setting(entry, setting)


class Gate(torch.nn.Module):
    """A gate from a convolution over the channel means that ignores `kernel_size`; `power` has an effect."""

    def __init__(self, dim: int, kernel_size: int = 3, power: int = 1) -> None:
        super().__init__()
        self.conv, self.power = torch.nn.Conv1d(1, 1, 3, padding=1), power

    def forward(self, x):
        weights = self.conv(x.mean((2, 3)).unsqueeze(1)).squeeze(1).sigmoid()
        return x * weights[..., None, None] ** self.power


class Forgetful(Gate):
    """A gate with one `effective` key for all of its settings."""

    @classmethod
    def effective(cls, height, width, *, kernel_size, power):
        return ()


def test_dead_settings_and_false_aliases_are_found():
    """The checks above can fail: on an ignored kernel size, and on two powers with one key."""
    settings = Setting("kernel_size", (3, 5), 3), Setting("power", (1, 2), 1), Setting("residual", ("none",), "none")
    honest, forgetful = (ModuleEntry(c.__name__, c, "", "", settings) for c in (Gate, Forgetful))
    check_setting(honest, settings[1])
    check_aliases(honest, 6)
    with pytest.raises(AssertionError, match="dead: kernel_size 3 and 5"):
        check_setting(honest, settings[0])
    with pytest.raises(AssertionError, match="called one network: power 1 and 2"):
        check_setting(forgetful, settings[1])
    with pytest.raises(AssertionError, match="outputs differ"):
        check_aliases(forgetful, 6)
