"""CONTRIBUTING.md says what the code says: the picture, the table of rooms, every file and name, and its example."""

from __future__ import annotations

import re

from package_imports import ROOMS, ROOT
from rooms_picture import BLOCK, COMMAND, PAGE, arrows, needed, picture
from untrained_searches import make_plan, run_plan

TEXT = PAGE.read_text(encoding="utf-8")
NAMES = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))


def test_the_picture_is_drawn_from_the_code():
    (shown,) = BLOCK.findall(TEXT)
    assert shown == picture(), f"draw it anew: {COMMAND}"


def test_the_picture_leaves_out_only_arrows_that_a_longer_way_stands_for():
    direct = arrows()
    drawn = needed(direct)
    reached: dict[str, set[str]] = {}
    for one, other in reversed(drawn):  # those of the first room first
        reached.setdefault(one, set()).update({other}, reached.get(other, ()))
    assert {one: others for one, others in direct.items() if others - reached.get(one, set())} == {}
    assert len(drawn) < sum(map(len, direct.values())) / 2


def test_every_room_has_a_row_in_the_order_of_the_rooms():
    cells = re.findall(r"^\| (.*?) \|", TEXT[TEXT.index("| room |") :], flags=re.MULTILINE)[1:]
    listed = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    rooms = [name for names in ROOMS for name in names if not name.startswith("_")]
    assert [name.removesuffix("/").removesuffix(".py").replace("/", ".") for name in listed] == rooms


def test_every_file_that_is_named_exists():
    files = [name.rstrip("/") for name in NAMES if re.fullmatch(r"[\w/]+(/|\.py)", name)]
    paths = [f"/{p.relative_to(ROOT.parent)}" for folder in (ROOT, ROOT.parent / "tests") for p in folder.rglob("*")]
    assert len(files) > 40
    assert [name for name in files if not any(path.endswith(f"/{name}") for path in ["/tests", *paths])] == []


def test_every_name_that_is_named_exists():
    names = {name for name in NAMES if re.fullmatch(r"_?[A-Z]\w+|_\w+", name)}
    files = [p for folder in (ROOT, ROOT.parent / "tests") for p in folder.rglob("*.py")]
    defined = {
        n for p in files for n in re.findall(r"^(?:class |def )?(\w+)", p.read_text("utf-8"), flags=re.MULTILINE)
    }
    assert {"ENGINES", "MAKERS", "CHECKS", "_WithAttention"} <= names <= defined


def test_the_tracker_hears_of_every_trial(tmp_path, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names: dict = {}
    exec(block, names)
    view = run_plan(make_plan(trials=5), tmp_path / "s", observer=names["Tracker"]())
    assert capsys.readouterr().out.splitlines() == [
        f"{t.number} {t.architecture} {t.map50_95} {t.cost['gmacs']}" for t in view.trials
    ]
