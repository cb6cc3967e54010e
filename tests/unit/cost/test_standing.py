"""User modules that do not keep the map of their slot are refused before anything is trained or written."""

from __future__ import annotations

import pytest
import yaml
from module_files import HEAD, clean, write
from small_data_sets import bccd

from nas_attn.attention import user
from nas_attn.cli.app import run
from nas_attn.cost import CostTable
from nas_attn.cost.standing import check_places
from nas_attn.errors import ConfigError
from nas_attn.space import Gene, SearchSpace, Slot

__all__ = ["clean", "write"]  # fixtures

BODY = """
@attention("{name}"{more})
class {cls}(nn.Module):
    def __init__(self, dim: int, k: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, {out}, k, {how})

    def {forward}(self, x):
        {body}
"""
SAME, RETURNED = "padding=k // 2", "return self.conv(x)"
GATE = "return x * self.conv(x).sigmoid()"
BAD = {  # out, how, forward, body, words of the message
    "half the map": ("dim", f"stride=2, {SAME}", "forward", RETURNED, ["keep the shape", "(2, 16, 4, 4) for (2, 16,"]),
    "twice the channels": ("2 * dim", SAME, "forward", RETURNED, ["keep the shape", "(2, 32, 8, 8)"]),
    "no padding": ("dim", "padding=0", "forward", GATE, ["16x8x8", "RuntimeError", "mine.py:13"]),
    "no forward": ("dim", SAME, "forwrad", RETURNED, ["NotImplementedError", '"forward"']),
    "doubles": ("dim", SAME, "forward", "return self.conv(x).double()", ["type", "torch.float64 for torch.float32"]),
    "two outputs": ("dim", SAME, "forward", "return self.conv(x), x", ["one tensor", "tuple"]),
    "nothing": ("dim", SAME, "forward", "self.conv(x)", ["one tensor", "NoneType"]),
    "an error": ("dim", SAME, "forward", "raise KeyError('lost')", ["KeyError: 'lost'", "mine.py:13"]),
    "an exit": ("dim", SAME, "forward", "raise SystemExit(4)", ["SystemExit: 4"]),
}


def code(body: str, *, name: str = "mine", more: str = "", out: str = "dim", how: str = SAME, forward: str = "forward"):
    return HEAD + BODY.format(name=name, cls=name.title(), out=out, how=how, forward=forward, body=body, more=more)


def source(case: str, more: str = "", name: str = "mine") -> str:
    out, how, forward, body, _ = BAD[case]
    return code(body, name=name, more=more, out=out, how=how, forward=forward)


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """A function that runs a command, checks that it is refused and writes no file, and returns its message."""
    monkeypatch.chdir(tmp_path)

    def check(*arguments: object) -> str:
        before = {p for p in tmp_path.rglob("*") if p.is_file()}
        assert run([*map(str, arguments)]) == 2
        said = capfd.readouterr()
        assert not said.out and "Traceback" not in said.err
        assert {p for p in tmp_path.rglob("*") if p.is_file()} == before
        return said.err

    return check


@pytest.mark.parametrize("case", BAD)
def test_cost_and_export_name_module_setting_and_slot(case, write, refused):
    path = write(source(case))
    size = ("--width", 0.0625, "--imgsz", 64, "--modules", path)
    for command in (["cost", "p3=mine(k=5) p4=mine"], ["export", "--architecture", "p3=mine(k=5) p4=mine"]):
        said = refused(*command, *size)
        assert all(w in said for w in [*BAD[case][-1], "mine.py", "class Mine", "`mine(k=5)` at p3"]), said
        assert "Also: `mine(k=3)` at p4." in said


@pytest.mark.parametrize("command", ["search", "slots", "ablate"])
def test_all_modules_of_a_space_at_once(command, write, refused, tmp_path):
    files = [write(source("half the map")), write(source("nothing", name="other"), "second.py")]
    data = bccd(tmp_path / "data")
    study = {"data": str(data), "model": "yolo11n.yaml", "width": 0.0625, "imgsz": 64, "final_imgsz": 128,
             "module_files": [str(f) for f in files], "modules": ["mine", "other", "conv"]}  # fmt: skip
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
    said = refused(command, "s.yaml", *(["--base", "p3=conv"] if command == "ablate" else []))
    assert "2 problems" in said and "`mine(k=3)` at p3" in said and "`other(k=3)` at p3" in said
    if command != "ablate":  # `ablate` has only the slot that it names
        assert "Also: `mine(k=5)` at p3, `mine(k=3)` at p4, `mine(k=5)` at p4 and 2 more" in said


def test_what_cannot_run_on_meta_runs_on_zeros(write):
    """A module that cannot run on the meta device can be searched, whether or not it declares this limit."""
    places = {Slot("p3", 16, 8, 8): [Gene("mine", (("k", 3),)), Gene("mine", (("k", 3), ("residual", "scaled")))]}
    for more in ("", ", cannot={'meta': 'it reads a value'}"):
        body = "return self.conv(x) if x.sum() == 0 else None"
        user.load(write(code(body, more=more)))
        check_places(places, 64, 128)
    user.load(write(source("twice the channels", more)))
    with pytest.raises(ConfigError, match=r"\(2, 16, 8, 8\) for \(2, 8, 8, 8\)"):
        check_places(places, 64)


def test_every_size_in_use_and_no_other(write):
    body = "return self.conv(x) if x.shape[2] == 8 else None"
    user.load(write(code(body)))
    space = SearchSpace.build("any", [Slot("p3", 16, 8, 8)], {"mine": None}, imgsz=64)
    check_places(space, 64)
    with pytest.raises(ConfigError, match="NoneType"):
        check_places(space, 64, 128)


def test_what_a_module_refuses_itself_is_no_fault(write):
    hook = "\n    @classmethod\n    def unsupported(cls, channels, *, k):\n        return 'wide' if k == 5 else None\n"
    body = "return self.conv(x) if self.conv.kernel_size[0] == 3 else None"
    user.load(write(code(body) + hook))
    check_places({Slot("p3", 16, 8, 8): [Gene("mine", (("k", k),)) for k in (3, 5)]}, 64)


def test_the_zoo_is_not_run_again(monkeypatch):
    monkeypatch.setattr("nas_attn.cost.standing.build_module", None)
    check_places({Slot("p3", 16, 64, 8): [Gene.parse("lska(k_size=7)"), Gene("none")]}, 64)


def test_a_table_is_not_counted_with_it(write):
    from torch import nn

    user.load(write(source("half the map")))
    with pytest.raises(ConfigError, match=r"`mine\(k=3\)` at p3"):
        CostTable.build(nn.Conv2d(3, 8, 1), {Slot("p3", 0, 8, 8): [Gene("mine", (("k", 3),))]}, 64)
