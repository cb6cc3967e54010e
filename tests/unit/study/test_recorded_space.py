"""A study keeps the search space and the costs with which it began: its header holds them, and later runs read them."""

from __future__ import annotations

import json

import earlier_releases as earlier
import pytest
from later_release import grown
from module_files import registry_as_before

from nas_attn.api import run_search
from nas_attn.attention import registry, table
from nas_attn.cost import Cost, CostTable
from nas_attn.data.demo import write_data
from nas_attn.errors import NasAttnError, RecordLost, UserError
from nas_attn.space import SearchSpace
from nas_attn.study import first_release, plan, recorded_space
from nas_attn.study.config import StudyConfig
from nas_attn.study.records import RecordLog
from nas_attn.study.space_files import load_space

OPTIONS = {
    "model": "yolo11n.yaml", "width": 0.0625, "epochs": 1, "imgsz": 64, "final_imgsz": 64, "batch": 4, "jobs": 1,
    "device": "cpu", "dead_slots": "keep", "control_seeds": 1, "slots": ["p3", "p5"],
}  # fmt: skip
MINE = {"slots": ["p3", "p5"], "modules": {"se": None, "lska": {"k_size": [7, 23]}}}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A function that runs or continues a search with an engine that trains nothing."""
    monkeypatch.setattr(plan, "LocalEngine", earlier.SyntheticEngine)
    (tmp_path / "data").mkdir()
    data = write_data(tmp_path / "data", earlier.SPLITS, earlier.IMGSZ, earlier.SIDES)

    def go(name: str, trials: int, **options):
        view = run_search(name, runs=tmp_path / "runs", **{"data": str(data), **OPTIONS, "trials": trials, **options})
        return [earlier.trial_figures(t) for t in view.trials]

    go.runs = tmp_path / "runs"
    return go


@pytest.mark.parametrize("space", ["light", "modules", "file"])
def test_a_study_goes_on_as_it_began_though_the_zoo_has_grown(study, tmp_path, space):
    if space == "file":
        (tmp_path / "mine.yaml").write_text(json.dumps(MINE))
    chosen = {
        "light": {"space": "light", "slots": ["p5"]},
        "modules": {"modules": {"se": None, "sk": {"reduction": [4]}}},
        "file": {"space": str(tmp_path / "mine.yaml")},
    }[space]
    whole = study("whole", 9, **chosen)
    begun = study("begun", 5, **chosen)
    assert begun == whole[:5]
    with grown():
        assert study("begun", 9, **chosen) == whole
        fresh = study("fresh", 5, **chosen)
    new = next(RecordLog(study.runs / "fresh").read())
    assert any("newcomer" in g or "rd_ratio=0.5" in g for g in new["space"]["genes"]), (
        "a new study has what is there now"
    )
    assert fresh[1][5] != whole[1][5], "and today's counts"


def test_a_pattern_keeps_the_slots_with_which_the_study_began(study):
    chosen = {"space": "light", "slots": ["lateral.*", "p5"]}
    whole = study("whole", 7, **chosen)
    study("begun", 4, **chosen)
    with grown():
        assert study("begun", 7, **chosen) == whole
        study("fresh", 3, **chosen)
    names = {n: {s[0] for s in next(RecordLog(study.runs / n).read())["space_slots"]} for n in ("begun", "fresh")}
    assert names["fresh"] - names["begun"] == {"lateral.stem"}


def test_the_slots_of_the_header_are_kept_while_the_same_are_asked_for():
    stored = {"config": StudyConfig(slots=["*"]).model_dump(mode="json"), "space_slots": [["p3", 16, 64, 8]]}
    kept = [({}, {"p3"}), ({"slots": ["p?"]}, None), ({"space": "zoo"}, None), ({"model": "yolov8n.yaml"}, None)]
    for other, found in kept:
        assert recorded_space.recorded_slots(stored, StudyConfig(**{"slots": ["*"], **other})) == found
    assert recorded_space.recorded_slots(None, StudyConfig()) is None


def test_a_study_that_was_asked_for_in_python_goes_on(study):
    chosen = {"modules": {"efficient_attention": {"group_split": [(4, 4)], "window_size": (4,)}}}  # JSON has no tuples
    begun = study("begun", 3, **chosen)
    assert study("begun", 5, **chosen)[:3] == begun


def test_a_study_whose_module_has_left_the_zoo_is_refused(study):
    study("begun", 3, space="light")
    with registry_as_before():
        del table.TABLE["strip"]
        with pytest.raises(NasAttnError, match=r"strip, which this version does not have.*nas_attn 0") as error:
            study("begun", 5, space="light")
    assert str(error.value).count("strip") == 1


def test_a_search_space_that_was_edited_is_another_study(study, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps(MINE))
    study("begun", 3, space=str(file))
    for content in ({**MINE, "modules": {"se": None}}, {**MINE, "modules": {**MINE["modules"], "eca": None}}):
        file.write_text(json.dumps(content))
        with pytest.raises(UserError, match="other values of the space"):
            study("begun", 5, space=str(file))
    (tmp_path / "gate.py").write_text(OWN)
    file.write_text(json.dumps(MINE))
    with registry_as_before(), pytest.raises(UserError, match="other values of the space"):
        study("begun", 5, space=str(file), module_files=[str(tmp_path / "gate.py")])


OWN = """
from torch import nn
from nas_attn.attention import attention

@attention("own_gate")
class OwnGate(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, x):
        return x
"""


def test_a_damaged_space_is_said(study):
    study("begun", 3, space="light")
    log = study.runs / "begun" / "records.jsonl"
    text = log.read_text()
    for old, new in (('"kept":[', '"kept":[9999,'), ('"costs":[[', '"costs":[[1],['), ("coord(", "cord(")):
        assert old in text
        log.write_text(text.replace(old, new, 1))
        with pytest.raises(RecordLost, match="`space` or `costs` cannot be read"):
            study("begun", 4, space="light")


def test_the_space_of_the_whole_zoo_is_recorded_in_full(known_base):
    """The record has some tens of kilobytes, and gives the same space when it is read."""
    base, slots = known_base("yolo11n.yaml")
    slots = [s for s in slots if s.name in ("p3", "p4", "p5")]
    space = SearchSpace.build(base.name, slots, load_space("zoo")["modules"], imgsz=320, final_imgsz=640)
    cells = {
        s.slot.name: {g: Cost(10**8 + i, 10**8, 2 * 10**8, 10**5) for i, g in enumerate(s.genes)} for s in space.slots
    }
    table = CostTable(Cost(1, 2, 3, 4), cells, 640)
    config = StudyConfig.of({"name": "n", "demo": True})
    header = {
        "name": "n",
        "config": config.model_dump(mode="json"),
        "base": space.base,
        "space_slots": [s.slot.as_list() for s in space.slots],
        "aliases": {s.slot.name: {str(a): str(g) for a, g in s.aliases.items()} for s in space.slots},
        "fingerprints": {"space": space.fingerprint()},
        **recorded_space.to_header(space, table, 2, {"slots": None, "modules": {}}),
    }
    text = json.dumps(header, separators=(",", ":"))
    assert len(text) < 120_000
    found = recorded_space.from_header(json.loads(text), config)
    assert found == (space, table)
    assert recorded_space.from_header(json.loads(text), config.model_copy(update={"imgsz": 64})) is None


def test_the_first_releases_zoo_is_in_todays():
    """A removed module or option would make studies of that release unusable; then this test fails."""
    for name, settings in first_release.ZOO.items():
        today = {s.name: [list(o) if isinstance(o, tuple) else o for o in s.options]
                 for s in registry.get(name).settings}  # fmt: skip
        assert settings.keys() == today.keys()
        assert all(option in today[setting] for setting, options in settings.items() for option in options)
    for space in first_release.SPACES.values():
        assert space["modules"].keys() <= first_release.ZOO.keys()
