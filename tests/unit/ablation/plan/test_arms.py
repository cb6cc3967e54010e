"""The arms and contrasts of each kind of comparison."""

from __future__ import annotations

import json

import pytest
from untrained_searches import make_plan

from nas_attn.ablation.design import Arm, Contrast
from nas_attn.ablation.looks import Looks
from nas_attn.ablation.plan.arms import Choices, make_design
from nas_attn.ablation.plan_record import plan_fields, read_plan
from nas_attn.errors import UserError
from nas_attn.space import NONE, Architecture, Gene
from nas_attn.study.ablation_config import KINDS

FULL = "p3=acmix(head=4,kernel_att=7) p4=lska(k_size=23) p5=none"
SPACE = make_plan().space


def choices(full: str = FULL, **more) -> Choices:
    values = {
        "space": SPACE,
        "full": Architecture.parse(full),
        "fits": lambda slot, gene: slot != "sppf.pre",
        "conv": lambda slot, gene: None if gene.module == "conv" else Gene.of("conv", {"groups": 1}),
        "everywhere": (*SPACE.names, "td.p4", "sppf.pre"),
        "scales": ("yolo11s.yaml",),
    }
    return Choices(**{**values, **more})


def genes(arm: Arm) -> str:
    return " ".join(f"{s}={g}" for s, g in arm.architecture if g != NONE)


def made(*kinds: str, **more) -> dict[str, str]:
    return {a.name: genes(a) for a in make_design(choices(**more), kinds).arms}


def test_every_ablation_has_base_full_and_control():
    assert made() == {
        "base": "",
        "full": "p3=acmix(head=4,kernel_att=7) p4=lska(k_size=23)",
        "conv in place of attention": "p3=conv(groups=1) p4=conv(groups=1)",
    }
    assert list(made(controls=False)) == ["base", "full"]


def test_leave_one_out_and_add_one_in_share_arms_of_two_slots():
    arms = make_design(choices(), ("leave-one-out", "add-one-in")).arms
    found = {a.name: (a.also, a.kinds) for a in arms}
    assert found["without p3"] == (("p4 alone",), ("leave-one-out", "add-one-in"))
    assert found["without p4"] == (("p3 alone",), ("leave-one-out", "add-one-in"))


def test_without_the_only_slot_it_is_the_base():
    assert list(made("leave-one-out", "add-one-in", full="p3=lska(k_size=23) p4=none p5=none", controls=False)) == [
        "base",
        "full",
    ]


def test_swap_takes_every_module_once_with_its_published_settings():
    found = made("swap", controls=False)
    assert found["p3: lska(k_size=11)"] == "p3=lska(k_size=11) p4=lska(k_size=23)"
    assert found["p3: conv(groups=1)"] == "p3=conv(groups=1) p4=lska(k_size=23)"
    assert found["p4: acmix(head=4,kernel_att=7)"] == "p3=acmix(head=4,kernel_att=7) p4=acmix(head=4,kernel_att=7)"
    assert len(found) == 2 + 2 * 2


def test_swap_keeps_the_residual_form():
    found = made("swap", full="p3=acmix(head=4,kernel_att=7,residual=scaled) p4=none p5=none", controls=False)
    assert "p3: lska(k_size=11,residual=scaled)" in found


def test_sweep_changes_one_setting():
    found = made("sweep", controls=False)
    assert found["p3: kernel_att=3"] == "p3=acmix(head=4,kernel_att=3) p4=lska(k_size=23)"
    assert found["p3: residual=scaled"] == "p3=acmix(head=4,kernel_att=7,residual=scaled) p4=lska(k_size=23)"
    offered = [g for g in SPACE["p4"].genes if g.module == "lska" and "residual" not in g.as_dict()]
    assert sum(name.startswith("p4: k_size") for name in found) == len(offered) - 1


def test_placement_names_slots_outside_the_space_and_says_what_does_not_fit():
    wanted = choices(full="p3=acmix(head=4,kernel_att=7) p4=none p5=none", controls=False)
    arms = {a.name: genes(a) for a in make_design(wanted, ("placement",)).arms}
    assert arms["acmix at td.p4"] == "td.p4=acmix(head=4,kernel_att=7)"
    assert "acmix at sppf.pre" not in arms
    assert wanted.notes == ["placement: `acmix(head=4,kernel_att=7)` does not fit slot sppf.pre"]
    assert set(arms) == {"base", "full", "acmix at p4", "acmix at p5", "acmix at td.p4"}


def test_two_genes_of_one_module_are_told_apart():
    both = "p3=lska(k_size=11) p4=lska(k_size=23) p5=none"
    names = made("placement", full=both, controls=False)
    assert {"lska(k_size=11) at p4", "lska(k_size=23) at p3"} <= set(names)
    assert len(set(names.values())) == len(names)


def test_scale_compares_with_its_own_base_and_the_gains_with_one_another():
    design = make_design(choices(controls=False), ("scale",))
    labels = {c.label: dict(c.weights) for c in design.contrasts}
    assert labels["full on yolo11s"] == {"full on yolo11s": 1, "base on yolo11s": -1}
    gain = labels["gain on yolo11s minus gain here"]
    assert gain == {"full on yolo11s": 1, "base on yolo11s": -1, "full": -1, "base": 1}
    assert design.base_of("yolo11s.yaml").name == "base on yolo11s" and design.base_of(None).name == "base"


def test_factorial_effects_are_those_of_the_cells():
    design = make_design(choices(controls=False), ("factorial",))
    value = {"base": 0.40, "p3": 0.42, "p4": 0.41, "full": 0.45}
    found = {c.label: sum(w * value[n] for n, w in c.weights) for c in design.family("factorial")}
    assert found["main effect of p3"] == pytest.approx(((0.42 - 0.40) + (0.45 - 0.41)) / 2)
    assert found["main effect of p4"] == pytest.approx(((0.41 - 0.40) + (0.45 - 0.42)) / 2)
    assert found["interaction of p3 and p4"] == pytest.approx((0.45 - 0.42) - (0.41 - 0.40))


def test_factorial_of_three_has_eight_cells():
    three = "p3=acmix(head=4,kernel_att=7) p4=lska(k_size=23) p5=lska(k_size=23)"
    design = make_design(choices(full=three, controls=False), ("factorial",))
    assert len(design.arms) == 8 and len(design.family("factorial")) == 3 + 3
    for contrast in design.contrasts:
        assert sum(w for _, w in contrast.weights) == pytest.approx(0)
        assert sum(w for _, w in contrast.weights if w > 0) in (pytest.approx(1), pytest.approx(2))


def test_factorial_of_many_slots_is_refused():
    class Wide:
        names = tuple(f"s{i}" for i in range(6))

    full = str(Architecture.of(dict.fromkeys(Wide.names, Gene.of("lska", {"k_size": 23}))))
    with pytest.raises(UserError, match="at most 5 filled slots"):
        make_design(choices(space=Wide(), full=full, controls=False), ("factorial",))


def test_the_base_against_itself_has_other_seeds_and_no_slots():
    design = make_design(choices(controls=False), ("a/a",))
    arm = design.arm("base, other seeds")
    assert arm.architecture.is_base and arm.offset
    assert next(c for c in design.contrasts if c.label == arm.name).slots == ()
    assert design.base_of(None).name == "base"


def test_contrasts_say_by_which_slots_arms_differ():
    design = make_design(choices(), ("leave-one-out", "swap"))
    slots = {(c.family, c.label): c.slots for c in design.contrasts}
    assert slots["base", "without p3"] == ("p4",)
    assert slots["full", "acmix(head=4,kernel_att=7) at p3"] == ("p3",)
    assert slots["full", "p4: lska(k_size=23), not acmix(head=4,kernel_att=7)"] == ("p4",)
    assert slots["control", "full, not conv"] == ("p3", "p4")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_design_that_survives_its_record(kind):
    design = make_design(choices(), (kind,))
    record = {**plan_fields(design, Looks.planned(9)), "settings": {"difference": 0.003}}
    assert read_plan(json.loads(json.dumps(record))) == (design, Looks.planned(9))
    names = [a.name for a in design.arms]
    assert len(set(names)) == len(names)
    assert len({(a.architecture, a.model, a.offset) for a in design.arms}) == len(names)
    for contrast in design.contrasts:
        assert set(contrast.arms) <= set(names)


def test_all_kinds_at_once_train_every_arm_once():
    design = make_design(choices(), tuple(KINDS))
    assert len({(a.architecture, a.model, a.offset) for a in design.arms}) == len(design.arms)
    assert len({(c.family, c.weights) for c in design.contrasts}) == len(design.contrasts)


def test_further_architectures_are_arms():
    further = (Architecture.parse("p3=none p4=none p5=lska(k_size=23)"),)
    assert made(further=further, controls=False)["p5=lska(k_size=23)"] == "p5=lska(k_size=23)"


def test_arms_with_the_same_slots_are_set_against_their_convolution():
    further = tuple(Architecture.parse(f"p3=none p4=none p5={g}") for g in ("lska(k_size=23)", "conv(groups=4)"))
    design = make_design(choices(further=further), ())
    assert {c.label for c in design.family("control")} == {"full, not conv", "p5=lska(k_size=23), not conv"}
    assert not design.family("full")  # neither is a part of the full architecture


def test_a_part_of_the_full_architecture_is_set_against_it():
    further = (Architecture.parse("p3=none p4=lska(k_size=23) p5=none"),)
    design = make_design(choices(further=further, controls=False), ())
    assert [c.label for c in design.family("full")] == ["full, not p4=lska(k_size=23)"]


def test_a_kind_that_yields_nothing_says_so():
    wanted = choices(full="p3=lska(k_size=23) p4=none p5=none", controls=False)
    make_design(wanted, ("leave-one-out", "factorial"))
    assert len(wanted.notes) == 2 and "only one filled slot" in wanted.notes[0]


def test_a_contrast_between_needs_no_common_slots():
    one = Arm("a", (), Architecture.parse("p3=lska(k_size=23)"))
    two = Arm("b", (), Architecture.parse("p3=none td.p4=lska(k_size=23)"))
    assert Contrast.between("x", "base", one, two).slots == ("p3", "td.p4")
