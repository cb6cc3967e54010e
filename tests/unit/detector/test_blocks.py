"""Attention inside Ultralytics' blocks: the block keeps its tensors, and its result follows the formula."""

from __future__ import annotations

import copy
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from random_norms import shaken
from torch import nn

from nas_attn.detector import blocks

pytestmark = pytest.mark.usefixtures("one_seeded_thread")

# name -> constructor arguments, width of the branch, width of the second convolution's input, number of bottlenecks
BLOCKS = {
    "A2C2f": ((16, 64, 2, False, -1), 16, 16, 4),
    "BottleneckCSP": ((16, 32, 2, True), 16, 16, 2),
    "C2": ((16, 32, 2, True), 16, 16, 2),
    "C2f": ((16, 32, 2, True), 16, 16, 2),
    "C3": ((16, 32, 2, False), 16, 16, 2),
    "C3k2": ((16, 32, 2, False), 16, 8, 2),
    "C3x": ((16, 32, 2, True), 16, None, 2),
    "RepNCSPELAN4": ((16, 32, 32, 16, 1), 8, 8, 2),
}
MORE = {  # other forms of the same blocks
    "C3k2 of C3k": ("C3k2", (16, 32, 2, True), 8, 8, 4),
    "C3k2 with its own attention": ("C3k2", (16, 256, 1, True, 0.5, True), 128, 64, 1),
    "C2f in groups": ("C2f", (16, 32, 1, True, 4), 16, 16, 1),
}
CASES = {name: (name, *rest) for name, rest in BLOCKS.items()} | MORE
OPEN = [name for name, case in CASES.items() if case[3]]


def plain_block(name: str) -> nn.Module:
    from ultralytics.nn.modules import block

    cls, arguments, *_ = CASES[name]
    return shaken(getattr(block, cls)(*arguments))


def opened(name: str, *genes: list) -> nn.Module:
    cls, arguments, *_ = CASES[name]
    return shaken(blocks.classes()[cls](arguments, genes))


def lska(channels: int) -> list:
    return ["LSKA", channels, 7]


def image(channels: int = 16, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, channels, 9, 7)


def test_every_block_is_here():
    assert set(BLOCKS) == set(blocks.NAMES) and {*blocks.NAMES, *blocks.WHOLE} == set(blocks.classes())


@pytest.mark.parametrize("name", CASES)
def test_what_a_block_has_room_for(name):
    _, _, branch, inner, sites = CASES[name]
    block = plain_block(name)
    conv = next(b.cv2.conv for _, _, b in blocks.bottlenecks(block))
    found = {"insert": (branch, sites, 0)}
    if inner is not None:
        projection = inner * branch if inner != branch else 0
        found["replace"] = (inner, sites, projection - conv.weight.numel())
    assert blocks.places(block) == found
    assert blocks.places(nn.Conv2d(3, 3, 1)) == {}


def test_blocks_with_unequal_bottlenecks_have_none():
    block = plain_block("C2f")
    block.m[0].cv2.conv = nn.Conv2d(16, 8, 3)
    assert blocks.places(block) == {}


@pytest.mark.parametrize("name", CASES)
def test_an_empty_block_is_the_block(name):
    plain, ours = plain_block(name), opened(name)
    assert list(plain.state_dict()) == list(ours.state_dict())
    ours.load_state_dict(plain.state_dict())
    x = image()
    for training in (False, True):
        (found,) = ours.train(training)(x)
        assert torch.equal(found, plain.train(training)(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), plain.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_keys_of_the_block_stay(name):
    _, _, branch, inner, sites = CASES[name]
    plain = plain_block(name)
    genes = [["insert", *lska(branch)], *([["replace", *lska(inner)]] if inner else [])]
    ours = opened(name, *genes)
    kept = {key: tuple(t.shape) for key, t in ours.state_dict().items() if ".attention." not in key}
    wanted = {key: tuple(t.shape) for key, t in plain.state_dict().items()}
    gone = {key for key in wanted if key not in kept}
    assert len(gone) == (sites if inner else 0) and all(key.endswith("cv2.conv.weight") for key in gone)
    assert {k: v for k, v in kept.items() if "project" not in k} == {k: v for k, v in wanted.items() if k not in gone}
    assert all(len(ours.attentions(mode)) == sites for mode, *_ in genes)
    built = sum(p.numel() for p in ours.parameters()) - sum(p.numel() for p in plain.parameters())
    own = sum(p.numel() for m in ("insert", "replace") for a in ours.attentions(m) for p in a.parameters())
    assert built == own + sum(n * weights for _, n, weights in blocks.places(plain).values()) * bool(inner)


def conv(layer, x: torch.Tensor) -> torch.Tensor:
    """The output of a `Conv` in evaluation mode, computed by its formula."""
    c, bn = layer.conv, layer.bn
    y = nn.functional.conv2d(x, c.weight, None, c.stride, c.padding, c.dilation, c.groups)
    return nn.functional.silu(norm(bn, y))


def norm(bn, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)


def attention_of(ours, mode: str, site: int, x: torch.Tensor) -> torch.Tensor:
    return ours.attentions(mode)[site](x)


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("modes", [("insert",), ("replace",), ("insert", "replace"), ("replace", "insert")])
def test_the_mathematics_of_c2f(shortcut, modes):
    """y = cv2(cat(a, b, m0(b), m1(m0(b)))), m(x) = x + A(act(bn(conv(cv1(x))))), or A' in place of the conv."""
    torch.manual_seed(4)
    cls = blocks.classes()["C2f"]
    ours = shaken(cls((16, 32, 2, shortcut), [[mode, *lska(16)] for mode in modes]))
    x = image()
    maps = list(conv(ours.cv1, x).chunk(2, 1))
    for site, bottleneck in enumerate(ours.m):
        inside, branch = bottleneck.cv2, conv(bottleneck.cv1, maps[-1])
        if "replace" in modes:
            branch = nn.functional.silu(norm(inside.bn, attention_of(ours, "replace", site, branch)))
        else:
            branch = conv(inside, branch)
        if "insert" in modes:
            branch = attention_of(ours, "insert", site, branch)
        maps.append(maps[-1] + branch if shortcut else branch)
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[0], conv(ours.cv2, torch.cat(maps, 1)), rtol=1e-5, atol=1e-5)


def test_the_mathematics_of_c3():
    """y = cv3(cat(m(cv1(x)), cv2(x)))."""
    ours = opened("C3", ["insert", *lska(16)])
    x = image()
    y = conv(ours.cv1, x)
    for site, bottleneck in enumerate(ours.m):
        y = attention_of(ours, "insert", site, conv(bottleneck.cv2, conv(bottleneck.cv1, y)))
    with torch.no_grad():
        wanted = conv(ours.cv3, torch.cat((y, conv(ours.cv2, x)), 1))
        torch.testing.assert_close(ours(x)[0], wanted, rtol=1e-5, atol=1e-5)


def test_a_replaced_convolution_that_widened_is_followed_by_a_pointwise_one():
    ours = opened("C3k2", ["replace", *lska(8)])
    x = image()
    maps = list(conv(ours.cv1, x).chunk(2, 1))
    for site, bottleneck in enumerate(ours.m):
        y = attention_of(ours, "replace", site, conv(bottleneck.cv1, maps[-1]))
        y = torch.einsum("oi,nihw->nohw", bottleneck.cv2.project.weight[:, :, 0, 0], y)
        maps.append(maps[-1] + nn.functional.silu(norm(bottleneck.cv2.bn, y)))
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[0], conv(ours.cv2, torch.cat(maps, 1)), rtol=1e-5, atol=1e-5)


def test_an_identity_in_the_branch_changes_nothing():
    """Scaled, with its gamma at 0."""
    plain, ours = plain_block("C2f"), opened("C2f", ["insert", "Scaled", "nas_attn.LSKA", 16, 7])
    assert not ours.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    for module in ours.attentions("insert"):
        nn.init.zeros_(module.gamma)
    x = image()
    assert torch.equal(ours(x)[0], plain(x))


def test_another_mode_is_refused():
    with pytest.raises(ValueError, match="a place that the block has, but got 'beside'"):
        opened("C2f", ["beside", *lska(16)])


@pytest.mark.parametrize("name", OPEN)
def test_forms_of_a_block(name):
    """Deep copies, pickles, half precision and channels_last give the same result as the block."""
    _, _, branch, inner, _ = CASES[name]
    ours = opened(name, ["insert", *lska(branch)], *([["replace", *lska(inner)]] if inner else []))
    x = image()
    with torch.no_grad():
        (wanted,) = ours(x)
        file = io.BytesIO()
        torch.save(ours, file)
        file.seek(0)
        for other in (copy.deepcopy(ours), torch.load(file, weights_only=False)):
            assert type(other) is type(ours) and torch.equal(other(x)[0], wanted)
        last = x.contiguous(memory_format=torch.channels_last)
        (found,) = copy.deepcopy(ours).to(memory_format=torch.channels_last)(last)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        (found,) = copy.deepcopy(ours).bfloat16()(x.bfloat16())
        torch.testing.assert_close(found.float(), wanted, rtol=0.1, atol=0.1)
        (found,) = copy.deepcopy(ours).half()(x.half())
        torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", OPEN)
def test_every_parameter_gets_a_gradient(name):
    _, _, branch, inner, _ = CASES[name]
    ours = opened(name, ["insert", *lska(branch)], *([["replace", *lska(inner)]] if inner else [])).train()
    ours(image())[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in ours.parameters())


def test_names_that_are_no_block():
    with pytest.raises(AttributeError, match="no attribute 'C4WithAttention'"):
        blocks.C4WithAttention  # noqa: B018
    assert blocks.C2fWithAttention is blocks.classes()["C2f"]


# the recorded arguments of blocks


def initialisers() -> dict[str, object]:
    from ultralytics.nn.modules import block

    return {name: vars(getattr(block, name))["__init__"] for name in (*blocks.NAMES, *blocks.WHOLE)}


def test_noting_leaves_the_classes_as_they_were():
    from ultralytics.nn.modules.block import C3k2

    before = initialisers()
    with blocks.noted_arguments() as noted:
        assert initialisers() != before
        block = C3k2(16, 32, 1, True)
        assert noted[block] == (16, 32, 1, True)  # not the arguments that C3k2 gives to C2f, its base class
    assert initialisers() == before
    with pytest.raises(ZeroDivisionError), blocks.noted_arguments():
        C3k2(16, 32)
        raise ZeroDivisionError
    assert initialisers() == before
    with pytest.raises(TypeError), blocks.noted_arguments():
        C3k2(16)
    assert initialisers() == before


def test_noting_can_be_nested():
    from ultralytics.nn.modules.block import C2f

    before = initialisers()
    with blocks.noted_arguments() as outer, blocks.noted_arguments() as inner:
        block = C2f(16, 32)
        assert outer[block] == inner[block] == (16, 32)
    assert initialisers() == before


def test_a_block_that_is_gone_lends_its_note_to_none():
    """Python may give a new object the id of a deleted one."""
    from ultralytics.nn.modules.block import C2f

    with blocks.noted_arguments() as noted:
        for width in range(8, 40, 8):
            block = C2f(8, width)
            assert noted[block] == (8, width)
            del block


@pytest.mark.parametrize("name", ["C2f", "C3k2"])  # C3k2 gives its base class positional arguments
def test_arguments_given_by_name_are_not_noted(name):
    from ultralytics.nn.modules import block

    with blocks.noted_arguments() as noted:
        built = getattr(block, name)(16, 32, n=2)
    assert built not in noted


def test_noting_in_threads():
    """Two threads record at once, and the first to begin is the first to end; a third thread only builds."""
    from ultralytics.nn.modules.block import C3k2

    before = initialisers()
    both = threading.Barrier(2, timeout=30)
    first_ended = threading.Event()
    notes = {}

    def note(name: str, width: int) -> None:
        with blocks.noted_arguments() as noted:
            both.wait()
            if name == "second":
                assert first_ended.wait(30)
            block = C3k2(16, width, 1)
            notes[name] = (list(noted.values()), noted[block])
        if name == "first":
            first_ended.set()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(note, "first", 32), pool.submit(note, "second", 64), pool.submit(C3k2, 16, 96)]:
            done.result(60)
    assert notes == {name: ([(16, width, 1)], (16, width, 1)) for name, width in (("first", 32), ("second", 64))}
    assert initialisers() == before


# a user's module that holds a bottleneck of Ultralytics


class Bottled(blocks.AttentionBottleneck):
    def __init__(self, channels: int) -> None:
        from ultralytics.nn.modules.block import Bottleneck

        super().__init__(
            Bottleneck(channels, channels), blocks.AttentionBottleneck(Bottleneck(channels, channels), nn.Identity())
        )


@pytest.mark.parametrize("modes", [("insert", "replace"), ("replace", "insert")])
@pytest.mark.parametrize("name", OPEN)
def test_what_was_put_inside_stays_as_it_is(name, modes, monkeypatch):
    _, _, branch, inner, sites = CASES[name]
    build = blocks._build
    monkeypatch.setattr(blocks, "_build", lambda n, values: Bottled(*values) if n == "Bottled" else build(n, values))
    first, second = modes
    width = {"insert": branch, "replace": inner}
    block = opened(name, [first, "Bottled", width[first]], [second, *lska(width[second])])
    assert [type(m) for m in block.attentions(first)] == [Bottled] * sites
    assert [type(m).__name__ for m in block.attentions(second)] == ["LSKA"] * sites
    assert sum(type(m).__name__ == "LSKA" for m in block.modules()) == sites
    assert len(list(blocks.bottlenecks(block))) == sites
    assert len(block.projections()) == (sites if inner != branch else 0)
    (found,) = block(image())
    assert found.isfinite().all()
