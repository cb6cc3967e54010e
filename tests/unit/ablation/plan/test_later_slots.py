"""An ablation compares the slots that its first release found, though a later release finds more."""

from __future__ import annotations

import earlier_releases as earlier
import pytest
from later_release import grown

from nas_attn.ablation.plan.settings import load_request
from nas_attn.ablation.run import run_ablation
from nas_attn.data.demo import write_data
from nas_attn.study import plan

OPTIONS = {
    "model": "yolo11n.yaml", "width": 0.0625, "epochs": 1, "imgsz": 64, "final_imgsz": 64, "batch": 4, "jobs": 1,
    "device": "cpu",
}  # fmt: skip
ASKED = {"base": "p3=eca", "kinds": ["placement"], "controls": False, "dead_slots": "keep"}


@pytest.fixture
def ablate(tmp_path, monkeypatch):
    """A function (number of seeds, engine) -> the view of an ablation of every slot that trains nothing."""
    (tmp_path / "data").mkdir()
    data = write_data(tmp_path / "data", earlier.SPLITS, earlier.IMGSZ, earlier.SIDES)

    def run(name, seeds, engine=earlier.SyntheticEngine):
        monkeypatch.setattr(plan, "LocalEngine", engine)
        options = {**OPTIONS, "data": str(data)}
        request = load_request("mine", {**ASKED, "seeds": seeds}, options, runs=tmp_path / "runs", name=name)
        return run_ablation(request, observer=earlier.Silent())

    return run


class Stopped(Exception):
    """The simulated end of the process."""


class AfterOneBase(earlier.SyntheticEngine):
    """An engine whose process ends after its first trial."""

    waits = 0

    def wait(self, timeout=None):
        if self.waits:
            raise Stopped
        self.waits = 1
        return super().wait(timeout)


@pytest.mark.parametrize("engine", [earlier.SyntheticEngine, AfterOneBase])
def test_a_later_release_adds_no_arm(ablate, engine):
    whole = ablate("whole", 4)
    assert {"eca at down.p3", "eca at fuse.td.p4", "eca at td.p4"} <= {a.name for a in whole.design.arms}
    if engine is AfterOneBase:
        with pytest.raises(Stopped):
            ablate("begun", 3, engine)
    else:
        ablate("begun", 3)
    with grown():
        begun = ablate("begun", 4)
        fresh = ablate("fresh", 3)
    assert begun.design == whole.design and begun.views[None].slots.keys() == whole.views[None].slots.keys()
    assert begun.views[None].slots["drop"].keys() == whole.views[None].slots["drop"].keys()
    assert {"eca at lateral.stem"} == {a.name for a in fresh.design.arms} - {a.name for a in begun.design.arms}
