"""Bundles on the command line: written, verified in a new process, and refused after every kind of damage."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from module_files import registry_as_before

from nas_attn.analysis.posterior import posterior
from nas_attn.bundle import card as cards
from nas_attn.bundle.rebuild import rebuild
from nas_attn.cli.app import run
from nas_attn.study import read_study

MINE = """
from typing import Annotated
from torch import nn
from nas_attn.attention import Choice, attention

@attention("shipped", family="spatial", paper="own idea", licence="mine, MIT")
class Shipped(nn.Module):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, k_size, padding=k_size // 2, groups=dim)

    def forward(self, x):
        return x * self.conv(x).sigmoid()
"""
SIZE = ("--width", "0.0625", "--nc", "3", "--imgsz", "64")
TEXT = "p3=lska(k_size=7) p4=shipped(k_size=5) p3.head=conv inner.p5.insert=conv"

pytestmark = pytest.mark.needs("onnx", "onnxruntime")


@pytest.fixture(scope="module", autouse=True)
def own_module_is_forgotten() -> Iterator[None]:
    with registry_as_before():
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "mine.py").write_text(MINE)
    return folder


@pytest.fixture(scope="module")
def bundle(home) -> Path:
    """A bundle of an architecture with the user's own module, and its YAML next to it."""
    given = ("--modules", str(home / "mine.py"), "-o", str(home / "mine.yaml"), "--bundle", str(home / "won"))
    assert run(["export", "--architecture", TEXT, *SIZE, *given]) == 0
    return home / "won"


@pytest.fixture
def copied(bundle, tmp_path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def card_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / cards.CARD).read_text())


def reseal(folder: Path, **changes: Any) -> None:
    """Change a card and seal it again, as another version could have written it."""
    card = {**card_of(folder), **changes}
    card["sha256"] = cards.seal(card)
    (folder / cards.CARD).write_text(json.dumps(card))


def problems(folder: Path) -> dict[str, str]:
    return {what: problem for what, problem in rebuild(folder) if problem}


def test_a_bundle_is_complete(bundle):
    card = card_of(bundle)
    names = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert names == {*card["files"], "card.json"} == {
        "base.yaml", "best.yaml", "best.onnx", "best-dynamic.onnx", "modules/mine.py", "card.json"
    }  # fmt: skip
    assert (bundle / "modules" / "mine.py").read_text() == MINE
    assert "--modules modules/mine.py" in (bundle / "best.yaml").read_text()
    assert f"--modules {bundle.parent / 'mine.py'}" in (bundle.parent / "mine.yaml").read_text()
    assert yaml.safe_load((bundle / "best.yaml").read_text()) == yaml.safe_load(
        (bundle.parent / "mine.yaml").read_text()
    )
    assert not [row for row in yaml.safe_load((bundle / "base.yaml").read_text())["head"] if "nas_attn" in row[2]]
    assert card["licences"]["ultralytics"] == "AGPL-3.0" and card["licences"]["nas_attn"].startswith("AGPL-3.0")
    assert card["licences"]["shipped"] == "mine, MIT" and "Apache-2.0" in card["licences"]["lska"]
    assert [c["source"] for c in card["cite"] if "lska" in c["what"]] == [
        "Large Separable Kernel Attention, 2309.01439"
    ]
    assert card["weights"]["kind"] == "initial" and card["study"] is None and set(card["versions"]) >= {"torch", "onnx"}
    shapes = [c["batch_height_width"] for g in card["onnx"] for c in g["checked"]]
    assert shapes == [[1, 64, 64], [1, 64, 64], [2, 64, 64], [2, 64, 96]]
    assert all(0 <= c["difference"] <= 1e-4 for g in card["onnx"] for c in g["checked"])


def test_it_verifies_in_a_fresh_process_where_the_module_file_is_gone(copied, capsys, monkeypatch):
    monkeypatch.setenv("NAS_ATTN_MODULES", "nowhere.py")
    assert run(["export", "--verify", str(copied)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 13 and all(line.startswith("ok  ") for line in out)
    assert {"cost", "parameters", "weights", "ONNX best.onnx", "modules"} <= {line[6:] for line in out}


def test_tampered_files_are_said_plainly(copied, capsys):
    text = (copied / "best.yaml").read_text()
    (copied / "best.yaml").write_text(text.replace("nas_attn.LSKA, [16, 7]", "nas_attn.LSKA, [16, 11]"))
    (copied / "best.onnx").write_bytes((copied / "best-dynamic.onnx").read_bytes())
    card = card_of(copied)
    card["architecture"] += " "
    (copied / "card.json").write_text(json.dumps(card))
    assert run(["export", "--verify", str(copied)]) == 1
    out, err = capsys.readouterr()
    assert "FAIL  card: it was edited" in out and "FAIL  best.onnx: it was changed" in out
    assert "FAIL  best.yaml: it was changed" in out and "ok    base.yaml" in out
    assert "[-1, 1, nas_attn.LSKA, [16, 11]] (exported: [-1, 1, nas_attn.LSKA, [16, 7]])" in out
    assert "4 of" in err and "checks failed" in err


def test_nothing_that_was_changed_is_run(copied, capsys, tmp_path):
    (copied / "modules" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + MINE)
    assert run(["export", "--verify", str(copied)]) == 1
    assert "rebuilding: not done, because it would run modules/mine.py" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_another_version_that_counts_differently_is_named(copied):
    card = card_of(copied)
    counts = {**card["cost"]["counts"], "macs": card["cost"]["counts"]["macs"] + 1}
    reseal(copied, cost={**card["cost"], "counts": counts}, versions={**card["versions"], "fvcore": "0.0.1"})
    found = problems(copied)
    assert set(found) == {"cost"} and f"but the card has {counts['macs']:,}" in found["cost"]
    assert "written with other versions: fvcore 0.0.1 then, " in found["cost"]


def test_a_bundle_of_0_1_0_is_counted_by_its_own_rules(copied):
    """Its card has no `counting`, and has torch's count under Ultralytics' name."""
    cost = card_of(copied)["cost"]
    assert cost["counting"] == 2 and cost["gflops_ultralytics"] == pytest.approx(cost["gflops_torch"], rel=1e-9)
    old = {k: v for k, v in cost.items() if k not in ("counting", "gflops_torch")}
    for part in ("counts", "base_counts"):
        old[part] = {("flops_ultralytics" if k == "flops_torch" else k): v for k, v in cost[part].items()}
    reseal(copied, cost={**old, "gflops_ultralytics": cost["gflops_torch"]})
    assert problems(copied) == {}


def test_other_weights_and_other_outputs_are_found(copied):
    card = card_of(copied)
    reseal(copied, weights={**card["weights"], "seed": 1})
    assert set(problems(copied)) == {"weights"}
    reseal(copied, weights=card["weights"])
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(copied / "best.onnx")
    for weight in graph.graph.initializer:
        value = numpy_helper.to_array(weight)
        if value.ndim == 1 and value.dtype == "float32":
            weight.CopyFrom(numpy_helper.from_array(value + 0.5, weight.name))
    onnx.save(graph, copied / "best.onnx")
    found = problems(copied)
    assert set(found) == {"ONNX best.onnx"} and "above the limit of 0.0001" in found["ONNX best.onnx"]


def test_parameters_are_counted_on_what_the_yaml_builds(copied):
    card = card_of(copied)
    counts = {**card["cost"]["counts"], "params": 1}
    reseal(copied, cost={**card["cost"], "counts": counts})
    assert set(problems(copied)) == {"parameters", "cost"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "must be a folder with a card.json"), ("{", "readable as JSON"), ('{"format": 99}', "format 99")],
)
def test_what_is_no_bundle_is_wrong_input(tmp_path, capsys, content, says):
    if content is not None:
        (tmp_path / "card.json").write_text(content)
    assert run(["export", "--verify", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err


def test_nothing_is_written_over_without_force(bundle, home, capsys):
    before = {p: p.read_bytes() for p in home.rglob("*") if p.is_file()}
    given = ["--modules", str(home / "mine.py"), "--architecture", "p3=lska", *SIZE]
    assert run(["export", *given, "-o", str(home / "mine.yaml")]) == 2
    assert "must not be overwritten" in capsys.readouterr().err
    assert run(["export", *given, "--bundle", str(bundle)]) == 2
    assert "--force to replace it" in capsys.readouterr().err
    for option in ("-o", "--bundle"):
        assert run(["export", *given, option, str(home), "--force"]) == 2
    assert "which is not a bundle" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in home.rglob("*") if p.is_file()} == before


def test_force_replaces_a_bundle_and_leaves_what_is_not_its(copied, capsys):
    (copied / "notes.txt").write_text("mine")
    given = ("--architecture", "p3=conv", *SIZE, "--no-onnx", "--force")
    assert run(["export", *given, "--bundle", str(copied)]) == 0
    assert "ONNX: left out" in capsys.readouterr().out
    names = {p.relative_to(copied).as_posix() for p in copied.rglob("*") if p.is_file()}
    assert names == {"base.yaml", "best.yaml", "card.json", "notes.txt"}
    assert card_of(copied)["onnx"] == "left out" and not problems(copied)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--architecture", "p3=lska", "--pick", "best"], "`--architecture` and --pick must not be given together"),
        (["--nc", "3"], "needs `--architecture`"),
        (["--weights", "best.pt"], "needs `--bundle`"),
        (["--bundle", "b", "--weights", "gone.pt"], "must exist"),
        (["--verify", "b", "--force"], "`--verify` and --force must not be given together"),
        (["--architecture", "p9=lska"], "slot must be a known one"),
        (["--architecture", "p3=lska", "--imgsz", "100"], "multiple of the model's stride 32"),
        (["--architecture", "p3=lska", "--nc", "0"], "`--nc` must be at least 1"),
        (["--architecture", "inner.p3.replace=acmix(head=8)", "--width", "0.0625"], "used at inner.p3.replace"),
    ],
)
def test_wrong_input(tmp_path, monkeypatch, capsys, given, says):
    monkeypatch.chdir(tmp_path)
    assert run(["export", *given]) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_without_onnx_it_says_what_is_missing(tmp_path, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name.startswith("onnx") else real(name, *a)
    )
    assert run(["export", "--architecture", "p3=conv", *SIZE, "--bundle", str(tmp_path / "b")]) == 1
    assert "pip install 'nas_attn[export]'" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_trained_weights_are_shipped_and_those_of_another_model_refused(home, tiny_data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = ["--architecture", "p3=lska(k_size=7)", *SIZE]
    assert run(["export", *text, "-o", "best.yaml"]) == 0
    size = ["--epochs", "1", "--imgsz", "64", "--batch", "4", "--device", "cpu"]
    assert run(["train", "best.yaml", "--data", str(tiny_data), *size, "--json"]) == 0
    weights = str(next((tmp_path / "runs").rglob("best.pt")))
    assert run(["export", *text, "--bundle", "won", "--weights", weights]) == 0
    card = card_of(tmp_path / "won")
    assert card["weights"]["kind"] == "trained" and "best.pt" in card["files"]
    assert not problems(tmp_path / "won")
    capsys.readouterr()
    for other in ("p3=none", "p3=lska(k_size=11)", "p4=lska(k_size=7)"):
        assert run(["export", "--architecture", other, *SIZE, "--bundle", "no", "--weights", weights]) == 2
        assert "finished training of this very model" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_the_card_of_a_study_has_every_seed(searched):
    shell, _ = searched
    view = read_study(shell.folder / "runs" / "tiny")
    conv = next(c for c in view.candidates() if c.role == "conv")
    number = conv.trials[0].number
    done = shell("export", "tiny", "--pick", f"trial:{number}", "--bundle", "won", "--no-onnx")
    assert done.code == 0, done.err
    assert not (shell.folder / "won" / "best.onnx").exists()
    card = card_of(shell.folder / "won")
    study, base = card["study"], {t.seed: t.map50_95 for t in view.trials if t.architecture.is_base}
    assert [t["seed"] for t in study["trials"]] == list(conv.seeds) and len(conv.seeds) == 2
    for t, own in zip(study["trials"], conv.trials, strict=True):
        assert t["map50_95"] == own.map50_95 and t["base_map50_95"] == base[own.seed]
    found = posterior(view)
    judged = found.differences[found.index(conv)]
    assert study["difference_to_base"] == {
        "mean": judged.mean,
        "interval_95": [judged.low, judged.high],
        "p_better": judged.above,
        "seeds": 2,
    }
    assert study["data"]["fingerprint"] == view.header["fingerprints"]["data"] and study["recipe"]["lr0"] == 0.002
    assert study["recorded_cost"] == {k: card["cost"][k] for k in study["recorded_cost"]}
    assert str(shell.folder) not in json.dumps(card)
