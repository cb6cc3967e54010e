"""The public constructors accept common notations, or refuse at once with a remedy: no incomplete object is made."""

# mypy: disable-error-code="arg-type, dict-item"
# values of wrong types are what is tested here
from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from fabricated_studies import fabricate
from torch import nn

import nas_attn as na
from nas_attn.attention import registry
from nas_attn.detector.model.base_model import load_base
from nas_attn.errors import ConfigError, GrammarError, SlotRefused, UnknownName, UserError
from nas_attn.evaluate import Fidelity
from nas_attn.space import NONE, Architecture, Gene, SlotSpace
from nas_attn.space.architecture import module_name
from nas_attn.study.config import StudyConfig
from nas_attn.study.config_sources import load_config

P3, P4 = na.Slot("p3", 16, 64, 8), na.Slot("p4", 19, 128, 16)
LSKA = na.Gene.parse("lska(k_size=7)")


@pytest.fixture(scope="module")
def space() -> na.SearchSpace:
    return na.SearchSpace.build("yolo11n", [P4, P3], {"lska": {"k_size": [7], "residual": ["none"]}}, imgsz=64)


def test_a_gene():
    wanted = na.Gene.parse("acmix(head=4,kernel_att=7)")
    settings = {"kernel_att": 7, "head": 4, "residual": "none"}
    for written in (
        na.Gene("acmix(head=4,kernel_att=7)"), na.Gene("acmix", settings), na.Gene("acmix", tuple(settings.items())),
        na.Gene.of("acmix", list(settings.items())), na.Gene.of("acmix(head=4,kernel_att=7)"), na.Gene.parse(wanted),
    ):  # fmt: skip
        assert written == wanted and hash(written) == hash(wanted) and str(written) == str(wanted)
    assert na.Gene("e", {"s": [2, [3]]}).as_dict() == {"s": (2, (3,))}


@pytest.mark.parametrize(
    ("written", "name"),
    [("ACmix", "acmix"), ("LSKA", "lska"), ("CBAM", "cbam"), ("LiteMLA", "lite_mla"), ("None", "none"),
     ("EfficientAttention", "efficient_attention"), ("BiLevelRouting", "bi_level_routing"), ("acmix", "acmix")],
)  # fmt: skip
def test_a_module_in_any_letters(written, name):
    assert Gene.parse(written) == Gene(written) == Gene.of(name)
    assert Architecture.parse(f"p3={written} p4=none") == Architecture.parse(f"p3={name} p4=none")
    assert StudyConfig(data="d.yaml", modules=[written]).modules == {name: None}
    assert registry.get(module_name(written)).name == name


def test_numbers_of_numpy_are_numbers():
    import numpy as np

    gene = na.Gene("m", {"a": np.int64(3), "b": np.float32(0.5)})
    assert na.Gene.parse(str(gene)) == gene and [type(v) for v in gene.as_dict().values()] == [int, float]


@pytest.mark.parametrize(
    "make",
    [
        lambda: na.Gene("AC mix"), lambda: na.Gene(""), lambda: na.Gene(None), lambda: na.Gene(7),
        lambda: na.Gene("none", {"head": 4}), lambda: na.Gene("acmix(head=4)", {"head": 4}),
        lambda: na.Gene("acmix", "head=4"), lambda: na.Gene("acmix", 4), lambda: na.Gene("acmix", {3: 4}),
        lambda: na.Gene("acmix", {"head": None}), lambda: na.Gene("acmix", {"head": True}),
        lambda: na.Gene("acmix", {"head": "two words"}), lambda: na.Gene("acmix", {"head": float("inf")}),
        lambda: na.Gene("acmix", {"head": float("nan")}), lambda: na.Gene("acmix", {"head": "4"}),
        lambda: na.Gene.parse(None), lambda: na.Architecture.parse(5), lambda: na.Architecture("acmix"),
        lambda: na.Architecture(5), lambda: na.Architecture(None), lambda: na.Architecture.of({"p3": None}),
        lambda: na.Architecture.of({"P 3": LSKA}), lambda: na.Architecture.of({"p3": {"head": 4}}),
        lambda: na.Architecture.of(["p3", "p4"]), lambda: na.Architecture([("p3", LSKA), ("p3", NONE)]),
        lambda: na.Architecture.none([3]), lambda: na.Architecture.none(3), lambda: na.Architecture.none("P 3"),
    ],
)  # fmt: skip
def test_what_is_no_gene_or_architecture(make):
    with pytest.raises(GrammarError, match="Write for example"):
        make()


def test_an_architecture(space):
    wanted = na.Architecture.parse("p3=none p4=lska(k_size=7)")
    for written in (
        na.Architecture("p4=lska(k_size=7) p3=none"), na.Architecture({"p4": LSKA, "p3": "none"}),
        na.Architecture.of({"p4": "lska(k_size=7)", "p3": NONE}), na.Architecture((("p4", LSKA), ("p3", NONE))),
        na.Architecture(wanted), na.Architecture.parse(wanted), na.Architecture.none("p4,p3").with_gene("p4", LSKA),
        na.Architecture.none("p3 p4").with_gene("p4", "lska(k_size=7)"),
        pickle.loads(pickle.dumps(wanted)),
    ):  # fmt: skip
        assert written == wanted and hash(written) == hash(wanted) and str(written) == str(wanted)
    assert str(na.Architecture.none("p3")) == "p3=none"
    assert na.Architecture.none("p4 p3") == na.Architecture.none([P3, P4]) == space.base_architecture()


def test_a_space_is_a_container(space):
    members = list(space)
    assert len(members) == space.size == 4 and members == list(space.enumerate()) and all(a in space for a in members)
    assert "p3=none p4=lska(k_size=7)" in space and {"p3": "none", "p4": NONE} in space
    assert "p3=none p4=lska(k_size=9)" not in space and "p3=lska(k_size=7)" in space
    assert space and space.restrict([]) and space.restrict([]).size == 1, "it always holds the base"
    assert repr(space) == "SearchSpace(yolo11n at 64 px: p3 2 genes, p4 2 genes; 4 architectures)"
    assert repr(space["p3"]) == "SlotSpace(p3: 2 genes, 0 aliases, 0 refused)"
    with pytest.raises(TypeError):
        len(space)
    with pytest.raises(UnknownName, match="'0'"):
        space[0]


@pytest.mark.parametrize("foreign", ["garbage", "", 5, None, {}, [], object(), {"p3": 5}, {3: "none"}, P3, LSKA, b"p3"])
def test_what_is_no_architecture_is_in_no_space(space, foreign):
    assert foreign not in space
    for ask in (space.contains, space.canonical, space.neighbours):
        with pytest.raises(GrammarError, match="Write for example"):
            ask(foreign)


def test_a_space_is_in_no_space():
    slots = [na.Slot("p3", 16, 64, 8), na.Slot("p4", 19, 64, 16)]
    large = na.SearchSpace.build("b", slots, ["acmix", "cbam", "lska", "window"], imgsz=320)
    assert large not in large, "at once, although iteration gives pairs"


def test_what_people_leave_out_has_its_default():
    slots = [P3, P4, na.Slot("p5", 22, 256, 32)]
    space = na.SearchSpace.build("yolo11n", slots, ["acmix", "se"], imgsz=320)
    full = space.canonical("p3=acmix(head=4,kernel_att=7)")
    for written in ("p3=acmix p4=none p5=none", "p3=acmix", "p3=acmix(head=4)", {"p3": "acmix"}, na.Gene("acmix")):
        if isinstance(written, na.Gene):
            written = na.Architecture({"p3": written})
        assert written in space and space.contains(written) and space.canonical(written) == full
        assert list(space.neighbours(written)) == list(space.neighbours(full))
    assert next(space.neighbours("p3=acmix")) == space.base_architecture()
    assert all(a in space and a.slots == space.names for a in space.neighbours("p3=acmix"))
    for wrong in ("p9=acmix", "p3=lska", "p3=nothing_known", "p3=acmix(size=3)", "p3=acmix(head=5)"):
        assert wrong not in space and not space.contains(wrong)
        for ask in (space.canonical, space.neighbours):
            with pytest.raises((UnknownName, SlotRefused)):
                ask(wrong)


def test_a_default_that_the_space_does_not_offer(space):
    assert "p3=lska" not in space
    with pytest.raises(SlotRefused, match="k_size: 7"):
        space.canonical("p3=lska")


def test_a_module_that_the_zoo_does_not_have_is_written_in_full():
    gone = SlotSpace(P3, ["none", "gone(a=1)"])
    space = na.SearchSpace("b", gone, 64)
    assert "p3=gone(a=1)" in space and "p3=gone" not in space


def test_a_large_space_has_a_size_and_a_short_name():
    slots = [na.Slot(f"p{n}", n, 64, 8) for n in range(3, 23)]
    large = na.SearchSpace.build("many", slots, ["lska", "acmix"], imgsz=64)
    assert large.size > 2**63 and large and len(repr(large)) < 500 and next(iter(large)) in large


def test_where_a_space_asks_for_an_architecture(space):
    assert str(space.canonical("p4=lska(k_size=7)")) == "p3=none p4=lska(k_size=7)"
    assert len(list(space.neighbours("p3=none p4=none"))) == 2
    assert space.restrict("p3") == space.restrict(["p3"]) and space.restrict("p3").size == 2
    assert space.with_residual("none").size == 4
    with pytest.raises(UnknownName, match="'scalde'"):
        space.with_residual("scalde")


def test_a_space_is_built_from_what_people_write(space):
    build = na.SearchSpace.build
    wanted = build("b", [P3], {"lska": None, "se": None}, imgsz=64)
    assert build("b", (P3,), ["lska", "se"], imgsz=64) == build("b", P3, ("lska", "se"), imgsz=64) == wanted
    assert build("b", [P3], "se", imgsz=64) == build("b", [P3], {"se": None}, imgsz=64)
    for slots, modules, imgsz, words in (
        (["p3"], ["se"], 64, "all_slots"), ("p3", ["se"], 64, "all_slots"), (None, ["se"], 64, "all_slots"),
        ([P3], None, 64, "modules"), ([P3], 5, 64, "modules"), ([P3], [LSKA], 64, "modules"),
        ([P3], ["se"], "64", "imgsz"), ([P3], ["se"], 0, "imgsz"), ([P3], ["see"], 64, "'see'"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            build("b", slots, modules, imgsz=imgsz)


def test_a_space_is_made_of_what_people_write():
    one = SlotSpace(P3, ("none", "lska(k_size=7)"))
    assert one == SlotSpace(P3, [NONE, LSKA], {}, {}) and one.genes == (NONE, LSKA)
    assert one == SlotSpace(P3, [NONE, LSKA], aliases={}) and hash(one) == hash(SlotSpace(P3, [NONE, LSKA]))
    other = SlotSpace(P4, ["none", "se", "lska(k_size=7)"], {"lska(k_size=9)": "se"}, {"conv(groups=1)": "no"})
    assert other.aliases == {na.Gene("lska(k_size=9)"): na.Gene("se")}
    assert na.SearchSpace("b", one, 64) == na.SearchSpace("b", [one], 64)
    assert na.SearchSpace("b", [other, one], 64) == na.SearchSpace("b", (one, other), 64)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: na.SearchSpace("a", (), ()), lambda s: na.SearchSpace("a", (), 64),
        lambda s: na.SearchSpace("a", 5, 64),
        lambda s: na.SearchSpace("a", [P3, P4], {}), lambda s: na.SearchSpace("a", [P3, P4], 64),
        lambda s: na.SearchSpace("a", s.slots, {}), lambda s: na.SearchSpace("a", s.slots, 0),
        lambda s: na.SearchSpace("a", s.slots, True), lambda s: na.SearchSpace("a", s.slots * 2, 64),
        lambda s: na.SearchSpace("", s.slots, 64), lambda s: na.SearchSpace(None, s.slots, 64),
        lambda s: na.SearchSpace.build("a", [P3, P4, P3], ["se"], imgsz=64),
        lambda s: na.SearchSpace.build("a", [P3, na.Slot("p3", 1, 8, 8)], ["se"], imgsz=64),
        lambda s: na.SearchSpace.build("a", [], ["se"], imgsz=64),
        lambda s: na.SearchSpace.build("a", [P3], [], imgsz=64),
        lambda s: na.SearchSpace.build("a", [P3], {}, imgsz=64),
        lambda s: na.SearchSpace.build(5, [P3], ["se"], imgsz=64),
        lambda s: na.SearchSpace.build("a", [P3], ["se"], imgsz=64, final_imgsz=0),
        lambda s: na.SearchSpace.build("a", [P3], ["se"], imgsz=64, final_imgsz="640"),
        lambda s: s.restrict(5), lambda s: s.restrict(None), lambda s: s.restrict([5]),
        lambda s: SlotSpace("p3", ["none"]), lambda s: SlotSpace(P3, []), lambda s: SlotSpace(P3, "none"),
        lambda s: SlotSpace(P3, [LSKA]), lambda s: SlotSpace(P3, ["none", LSKA, LSKA]),
        lambda s: SlotSpace(P3, None), lambda s: SlotSpace(P3, ["none", 5]),
        lambda s: SlotSpace(P3, ["none"], aliases=["se"]), lambda s: SlotSpace(P3, ["none"], refused=5),
        lambda s: SlotSpace(P3, ["none"], aliases={"se": LSKA}),
    ],
)  # fmt: skip
def test_no_half_space(space, make):
    with pytest.raises(UserError) as caught:
        make(space)
    assert caught.value.remedy or "one of" in str(caught.value), "it says what to write"


def test_equal_spaces_have_one_hash(space):
    again = na.SearchSpace.build("yolo11n", [P3, P4], {"lska": {"k_size": [7], "residual": ["none"]}}, imgsz=64)
    assert again == space and hash(again) == hash(space) and {space: 1}[again] == 1
    assert len({space, again, space.restrict("p3"), space.restrict([]), pickle.loads(pickle.dumps(space))}) == 3
    assert space.restrict("p3, p4") == space.restrict((P3, P4)) == space


@pytest.mark.parametrize(
    "values",
    [("P 3", 1, 8, 8), (3, 1, 8, 8), ("p3", "16", 8, 8), ("p3", -1, 8, 8), ("p3", 1, 0, 8), ("p3", 1, 8, -8)],
)
def test_a_slot(values):
    with pytest.raises(UserError, match=r"Write for example: Slot\("):
        na.Slot(*values)


def test_a_slots_readers():
    assert hash(na.Slot("p3", 1, 8, 8, [2, 3])) == hash(na.Slot("p3", 1, 8, 8, (2, 3)))


def test_a_cost_table():
    genes = {P3: ["none", "lska(k_size=7)"]}
    table = na.CostTable.build(nn.Conv2d(3, 8, 1), genes, 64)
    assert table.cost("p3=lska(k_size=7)") == table.cost(na.Architecture({"p3": LSKA}))
    assert table.cell("p3", "lska(k_size=7)") == table.cell("p3", LSKA)
    assert (table.many(["p3=none"]) == table.many([na.Architecture("p3=none")])).all()
    with pytest.raises(UserError, match=r"load_base\(.*\.build\(\)"):
        na.CostTable.build(load_base("yolo11n"), genes, 64)
    with pytest.raises(UserError, match="Slot -> genes"):
        na.CostTable.build(nn.Conv2d(3, 8, 1), {"p3": ["none"]}, 64)
    with pytest.raises(UserError, match="imgsz"):
        na.CostTable.build(nn.Conv2d(3, 8, 1), genes, "64")


@pytest.mark.parametrize("values", [("3", 64, 1.0), (3, "64", 1.0), (3, 64, "all"), (None, 64, 1.0), (1.5, 64, 1.0)])
def test_a_fidelity(values):
    with pytest.raises(UserError, match=r"Write for example: Fidelity\("):
        Fidelity(*values)


def test_a_study_is_found_by_every_name(tmp_path, monkeypatch):
    folder = fabricate(tmp_path / "runs" / "mine", 3).folder
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("name: mine\n")
    for name, runs in (
        ("mine", "runs"),
        ("mine", Path("runs")),
        (folder, "x"),
        (str(folder), "x"),
        ("my.yaml", "runs"),
    ):
        assert len(na.load_study(name, runs=runs).trials) > 3
    fabricate(tmp_path / "runs" / "étude", 3)
    assert na.load_study("e\u0301tude").trials  # as macOS writes it
    for wrong in (None, 5, na.load_study("mine")):
        with pytest.raises(UserError, match="must be the name of a study"):
            na.load_study(wrong)
    with pytest.raises(UserError, match="must hold a study"):
        na.load_study("other", runs="runs")
    with pytest.raises(UserError, match="runs"):
        na.load_study("mine", runs=None)


def test_options_as_python_writes_them(tmp_path):
    (tmp_path / "m.py").write_text("")
    given = {"data": tmp_path / "d.yaml", "module_files": tmp_path / "m.py", "slots": "p3, p4", "modules": "se",
             "device": 0, "trials": 7, "storage": None}  # fmt: skip
    config = load_config("new", given)
    assert config.data == str(tmp_path / "d.yaml") and config.module_files == [str(tmp_path / "m.py")]
    assert config.slots == ["p3", "p4"] and config.modules == {"se": None} and config.device == "0"
    assert load_config("new", {**given, "device": [0, 1]}).device == "0,1"
    both = load_config("new", {**given, "modules": [str(tmp_path / "n.py"), "se, eca"]})
    assert both.module_files == [str(tmp_path / n) for n in ("m.py", "n.py")] and list(both.modules or ()) == [
        "se",
        "eca",
    ]
    with pytest.raises(ConfigError, match="Did you mean 'trials'"):
        load_config("new", {**given, "trails": 8})


def test_a_search_is_refused_before_it_begins(tmp_path):
    for arguments, options in (((5,), {}), (("x",), {"runs": None}), (("x",), {"runs": str(tmp_path), "data": 7})):
        with pytest.raises(UserError):
            na.run_search(*arguments, **options)
    assert not list(tmp_path.iterdir())
    (tmp_path / "s.yaml").write_text("epochs: 1\n")
    with pytest.raises(UserError, match=r"data\.yaml"):
        na.run_search(tmp_path / "s.yaml", runs=str(tmp_path), data=tmp_path / "data.yaml")


def test_slots_may_be_refused_still(space):
    with pytest.raises(SlotRefused):
        space.canonical("p3=lska(k_size=9)")
