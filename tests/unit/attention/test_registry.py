"""The registry of the zoo: settings, arguments, rows, refusals, and settings that compute the same function."""

from __future__ import annotations

import inspect
import itertools

import pytest
import torch

from nas_attn.attention import Choice, attention, by_class_name, entries, get, names, registry
from nas_attn.attention.residual import Scaled, build_module
from nas_attn.errors import UnknownName, UserError
from nas_attn.space import Gene

FIRST = {  # name -> expected settings; for the other modules, only rules are tested
    "none": "NoAttention",
    "acmix": "ACmix",
    "conv": "PlainConv",
    "efficient_attention": "EfficientAttention",
    "lka": "LKA",
    "lka_trivial": "LKATrivial",
    "lska": "LSKA",
    "lska_trivial": "LSKATrivial",
}
K_SIZES = (7, 11, 23, 35, 41, 53)


def test_the_zoo():
    assert {n: get(n).cls.__name__ for n in FIRST} == FIRST
    assert names()[0] == "none" and [e.name for e in entries()] == names() and len(names()) > 20
    assert get("none").is_none and not any(e.is_none for e in entries()[1:])


@pytest.mark.parametrize("entry", entries(), ids=lambda e: e.name)
def test_every_entry_says_what_it_is(entry):
    assert entry.paper and entry.family and inspect.getdoc(entry.cls)
    assert entry.origin == entry.cls.__module__ and entry.cls.__name__.encode() in entry.source()
    assert set(entry.cannot) <= set(registry.LIMITS) and all(entry.cannot.values())
    assert by_class_name(entry.cls.__name__) is entry
    for setting in entry.settings:
        assert setting.default in setting.options and len(setting.options) > 1
        for value in setting.options:
            gene = Gene.of(entry.name, {setting.name: value})
            assert Gene.parse(str(gene)) == gene


def test_searchable_settings():
    options = {e.name: {s.name: s.options for s in e.settings} for e in entries()}
    assert all(o.pop("residual") == ("none", "scaled") for n, o in options.items() if n != "none")
    assert {n: o for n, o in options.items() if n in FIRST} == {
        "none": {},
        "conv": {"groups": (1, 2, 4, 8, 16, 32, 64)},
        "acmix": {"kernel_att": (3, 5, 7, 9), "head": (1, 2, 4, 8)},
        "efficient_attention": {
            "group_split": ((4, 4), (2, 6), (6, 2), (8, 0), (0, 8), (2, 2, 4)),
            "window_size": (1, 2, 4, 8),
        },
        **{n: {"k_size": K_SIZES} for n in ("lka", "lska", "lka_trivial", "lska_trivial")},
    }
    assert sum(1 for _ in get("acmix").combinations()) == 32


@pytest.mark.parametrize(
    ("name", "settings", "row"),
    [
        ("none", {}, ("NoAttention", [])),
        ("acmix", {"head": 4, "kernel_att": 7}, ("ACmix", [64, 64])),
        ("acmix", {"head": 4, "kernel_att": 3}, ("ACmix", [64, 64, 3])),
        ("acmix", {"head": 8, "kernel_att": 7}, ("ACmix", [64, 64, 7, 8])),
        ("acmix", {"head": 8, "residual": "scaled"}, ("Scaled", ["ACmix", 64, 64, 7, 8])),
        ("lka", {}, ("LKA", [64])),
        ("lka", {"k_size": 7}, ("LKA", [64, 7])),
        ("lska", {}, ("LSKA", [64, 11])),
        ("lska_trivial", {"k_size": 53, "residual": "scaled"}, ("Scaled", ["LSKATrivial", 64, 53])),
        ("conv", {}, ("PlainConv", [64])),
        ("conv", {"groups": 8}, ("PlainConv", [64, 8])),
        ("efficient_attention", {}, ("EfficientAttention", [64, 8, [4, 4], [3], 4])),
        ("efficient_attention", {"group_split": (2, 2, 4), "window_size": 8},
         ("EfficientAttention", [64, 8, [2, 2, 4], [3, 5], 8])),
    ],
)  # fmt: skip
def test_rows(name, settings, row):
    entry = get(name)
    assert entry.row(64, entry.complete(settings)) == row


@pytest.mark.parametrize("entry", entries(), ids=lambda e: e.name)
def test_a_row_builds_what_the_settings_say(entry):
    """Rows omit arguments that equal the published default; the built module must be the same as with all arguments."""
    for settings in entry.combinations():
        if entry.refusal(64, 20, 20, settings) is not None:
            continue
        name, arguments = entry.row(64, settings)
        assert not any(isinstance(a, tuple) or a is inspect.Parameter.empty for a in arguments)
        built = Scaled(*arguments) if name == "Scaled" else by_class_name(name).cls(*arguments)
        full = {p.name: p.default for p in list(inspect.signature(entry.cls.__init__).parameters.values())[1:]
                if p.default is not p.empty}  # fmt: skip
        derive = getattr(entry.cls, "from_settings", None)
        own = {k: v for k, v in settings.items() if k != "residual"}
        full |= own | (derive(64, **own) if derive else {})
        first = [p for p in inspect.signature(entry.cls.__init__).parameters if p in registry.CHANNEL_ARGUMENTS]
        plain = entry.cls(**full | dict.fromkeys(first, 64)) if not entry.is_none else entry.cls()
        inner = built.fn if name == "Scaled" else built
        assert repr(inner) == repr(plain)
        assert isinstance(build_module(entry, 64, settings), type(built))


def test_unknown_names_say_what_was_meant():
    with pytest.raises(UnknownName, match="Did you mean 'lska'"):
        get("LSKAA")
    with pytest.raises(UnknownName, match="Did you mean 'ACmix'"):
        by_class_name("acmix")
    with pytest.raises(UnknownName, match=r"Did you mean 'kernel_att'.*Known: head, kernel_att, residual"):
        get("acmix").complete({"kernel_size": 7})
    with pytest.raises(UserError, match=r"`acmix.head` must be one of 1, 2, 4, 8, but got 3"):
        get("acmix").complete({"head": 3})
    with pytest.raises(UserError, match=r"\[2, 6\].*but got \[3, 5\]"):
        get("efficient_attention").complete({"group_split": (3, 5)})


def test_a_name_stands_once():
    with pytest.raises(UserError, match=r"'acmix' twice.*test_registry\.py:\d"):
        attention("acmix", family="x", paper="x")(torch.nn.Identity)
    assert get("acmix").cls.__name__ == "ACmix"


def test_choice():
    empty = inspect.Parameter.empty
    assert Choice(1, 2).default(2) == 2 and Choice(1, 2).default(empty) == 1
    assert Choice(1, 2, default=2).default(1) == 2 and Choice((3, 5), (3,)).default([3]) == (3,)


@pytest.mark.parametrize(("channels", "fits"), [(64, True), (12, False), (4, False)])
def test_channels_refuse_with_a_reason(channels, fits):
    for name, settings in (("acmix", {"head": 8}), ("conv", {"groups": 8}), ("efficient_attention", {})):
        reason = get(name).refusal(channels, 8, 8, get(name).complete(settings))
        assert (reason is None) == fits
        assert fits or str(channels) in reason


def test_too_many_logits_refuse():
    entry = get("acmix")
    assert entry.cls.attention_logits(64, 80, 60, head=4, kernel_att=7) == 4 * 49 * 80 * 60
    assert entry.refusal(64, 160, 160, entry.complete({"head": 8, "kernel_att": 9})) is None
    assert "more than 16,777,216" in entry.refusal(64, 161, 161, entry.complete({"head": 8, "kernel_att": 9}))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (4, 4), (2, 7), (8, 8), (20, 20), (19, 60)], ids=str)
@pytest.mark.parametrize("entry", [get(n) for n in FIRST if hasattr(get(n).cls, "effective")], ids=lambda e: e.name)
def test_settings_coincide_exactly_where_they_compute_one_function(entry, size):
    """With the larger setting's weights cut to the smaller one, outputs are equal if, and only if, the keys are."""
    torch.manual_seed(5)
    x = torch.randn(1, 16, *size, dtype=torch.float64)
    compared = 0
    settings = [s for s in entry.combinations() if s["residual"] == "none"]
    for small, large in itertools.combinations(settings, 2):
        one, other = build_module(entry, 16, small).double(), build_module(entry, 16, large).double()
        state = {k: _cut(v, one.state_dict().get(k)) for k, v in other.state_dict().items()}
        if set(state) != set(one.state_dict()) or any(v is None for v in state.values()):
            assert entry.effective(small, *size) != entry.effective(large, *size)
            continue
        one.load_state_dict(state)
        compared += 1
        with torch.no_grad():
            same = torch.allclose(one(x), other(x), rtol=1e-10, atol=1e-12)
        assert same == (entry.effective(small, *size) == entry.effective(large, *size)), (small, large)
    assert compared >= 6


def _cut(tensor, like):
    """The central taps of a kernel; None if the tensors differ in more than kernel size."""
    if like is None or tensor.shape[:2] != like.shape[:2]:
        return None
    for axis in range(2, tensor.dim()):
        spare = tensor.shape[axis] - like.shape[axis]
        if spare < 0:
            return None
        tensor = tensor.narrow(axis, spare // 2, like.shape[axis])
    return tensor


def test_residual_is_part_of_the_form():
    entry = get("lska")
    plain, scaled = ({"k_size": 7, "residual": r} for r in ("none", "scaled"))
    assert entry.effective(plain, 4, 4) != entry.effective(scaled, 4, 4)


def test_coinciding_large_kernels_on_small_maps():
    entry = get("lska")
    groups: dict = {}
    for settings in entry.combinations():
        if settings["residual"] == "none":
            groups.setdefault(entry.effective(settings, 8, 8), []).append(settings["k_size"])
    assert list(groups.values()) == [[7], [11], [23, 35, 41, 53]]
