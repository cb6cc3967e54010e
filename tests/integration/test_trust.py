"""Foreign code in checkpoints, run folders and bundles does not run without `--trust`."""

from __future__ import annotations

import io
import os
import shutil
import sys

import pytest
import torch
from module_files import GOOD, clean, write

from nas_attn.attention import trust, user
from nas_attn.cli.app import run
from nas_attn.detector.final.training_folder import epochs_of
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.safe_checkpoint import load_checkpoint
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.weights.initial_weights import build
from nas_attn.detector.weights.start_model import save_start
from nas_attn.environment import cache_root, prepare
from nas_attn.errors import UserError

__all__ = ["clean", "write"]  # fixtures
WIDTH = 0.0625


class Evil:
    """An object that runs a command when it is unpickled."""

    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch '{self.mark}'",)


class Call:
    """An object that calls a function with arguments when it is unpickled."""

    def __init__(self, what, *arguments) -> None:
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that malicious content would create, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_ATTN_TRUST", raising=False)
    monkeypatch.setenv("NAS_ATTN_CACHE", str(tmp_path / "cache"))  # with no named file
    return tmp_path / "it-ran"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data):
    """The folder of weights after one epoch by Ultralytics alone."""
    prepare()
    from ultralytics import YOLO

    folder = tmp_path_factory.mktemp("stock")
    YOLO("yolo11n.yaml").train(
        data=str(tiny_data), epochs=1, imgsz=64, batch=4, workers=0, device="cpu", plots=False, save_period=1,
        project=str(folder), name="run", amp=False,
    )  # fmt: skip
    return folder / "run" / "weights"


def test_a_malicious_checkpoint_does_nothing_at_any_command(mark, capsys, tiny_data):
    torch.save({"model": Evil(mark), "epoch": 1, "train_args": {}}, "evil.pt")
    given = ("--weights", "evil.pt", "--data", str(tiny_data), "--device", "cpu")
    for command in (
        ["cost", "--model", "evil.pt"],
        ["slots", "--model", "evil.pt"],
        ["export", "--architecture", "p3=none", "--model", "evil.pt"],
        ["search", "x", *given],
        ["slots", *given],
        ["ablate", "--base", "p3=se", *given],
    ):
        assert run(command) == 2, command
        said = capsys.readouterr().err
        assert "posix.system" in said and "evil.pt" in said and "--trust" in said
        assert not mark.exists(), command
    with pytest.raises(UserError, match=r"posix\.system"):
        epochs_of(mark.with_name("evil.pt"))
    assert run(["cost", "--model", "evil.pt", "--trust"]) == 2  # it is no model, but its code ran
    assert mark.exists() and "NAS_ATTN_TRUST" not in os.environ


def test_a_model_class_is_not_called(mark):
    from ultralytics.nn.tasks import DetectionModel

    bad = {"nc": 1, "activation": f"open({str(mark)!r}, 'w')", "backbone": [[-1, 1, "Conv", [8, 3, 2]]], "head": []}
    for content in (Call(DetectionModel, bad), Call(eval, f"open({str(mark)!r}, 'w')"), Call(getattr, "", "format"),
                    Call(user.revive, "mine", f"open({str(mark)!r}, 'w')", "X")):  # fmt: skip
        torch.save({"model": content}, "evil.pt")
        with pytest.raises(UserError):
            load_checkpoint(mark.with_name("evil.pt"))
        assert not mark.exists()


def test_a_layer_of_somebody_else_is_refused_by_name(mark):
    import optuna

    torch.save({"model": optuna.trial.FixedTrial({})}, "other.pt")
    with pytest.raises(UserError, match=r"optuna\.trial\._fixed\.FixedTrial.*--trust"):
        load_checkpoint(mark.with_name("other.pt"))


@pytest.mark.parametrize("name", ["best.pt", "last.pt", "epoch0.pt"])
def test_what_ultralytics_writes_is_read(trained, name, mark):
    found = load_checkpoint(trained / name)
    wanted = torch.load(trained / name, weights_only=False)
    assert found.keys() == wanted.keys() and found["train_args"] == wanted["train_args"]
    one, other = ((c["ema"] or c["model"]) for c in (found, wanted))
    assert repr(one) == repr(other) and one.args == other.args and one.names == other.names
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    with torch.no_grad():
        x = torch.rand(1, 3, 64, 64)
        assert torch.equal(one.float().eval()(x)[0], other.float().eval()(x)[0])
    assert load_base(str(trained / name)).nc == 3
    assert epochs_of(trained / name) is not None


def test_paths_numbers_and_losses_beside_a_model(mark):
    import numpy
    from ultralytics.utils import IterableSimpleNamespace

    model = load_base("yolo11n", width=WIDTH).build()
    model.args = IterableSimpleNamespace(
        box=7.5, cls=0.5, dfl=1.5, save_dir=mark.parent, overlap_mask=True, tal_topk=10
    )
    model.criterion = model.init_criterion()
    torch.save({"model": model, "best_fitness": numpy.float64(0.5), "where": mark.parent, "a": {1, 2}}, "m.pt")
    found = load_checkpoint(mark.with_name("m.pt"))
    assert found["best_fitness"] == 0.5 and str(found["where"]) == str(mark.parent) and found["a"] == {1, 2}
    assert found["model"].args.box == 7.5 and type(found["model"].criterion) is type(model.criterion)


def test_own_modules_inner_slots_and_the_whole_zoo(mark, write):
    file = write(GOOD)
    user.load(file)
    base = load_base("yolo11n", width=WIDTH)
    slots = all_slots(base)
    text = "p3=mine(k_size=3,residual=scaled) p4=acmix p5=efficient_attention"
    inner = next(n for n in sorted(s.name for s in slots) if n.startswith("inner."))
    from nas_attn.bundle.named_model import named_architecture

    model, _ = build(base, slots, named_architecture(f"{text} {inner}=simam", slots, 320), 0)
    save_start(model, "detect", mark.with_name("ours.pt"))
    again = load_checkpoint(mark.with_name("ours.pt"))["model"]
    assert repr(again) == repr(model)
    user._KNOWN.clear()  # as in another process, where the file was not named
    with pytest.raises(UserError, match=r"mine\.py with digest.*--trust"):
        load_base("ours.pt")
    trust.remember_files([file])
    assert load_base("ours.pt").task == "detect"


def study_with_modules(folder, text: str, recorded: str) -> None:
    """A run folder whose header has the given digest, and whose module file has the given content."""
    from fabricated_studies import Fabricator

    from nas_attn.study.folder import RunFolder

    base = load_base("yolo11n.yaml", nc=3, width=None)
    study = Fabricator(folder, "theirs", width=None)
    lines = study.log.path.read_text().splitlines(keepends=True)
    assert '"fingerprints":{}' in lines[0]
    print_of = f'"fingerprints":{{"base":"{base.fingerprint}","modules":{{"mine":"{recorded}"}}}}'
    lines[0] = (
        lines[0]
        .replace('"fingerprints":{}', print_of)
        .replace('"name":"theirs"', '"classes":["a","b","c"],"space_slots":[],"name":"theirs"', 1)
    )
    study.log.path.write_text("".join(lines))
    RunFolder(folder).keep_modules([user.Source("mine", text)])


def test_a_checkpoint_that_only_the_records_name_is_not_run(mark, capsys):
    from fabricated_studies import fabricate

    torch.save({"model": Evil(mark)}, "evil.pt")
    fabricate(mark.parent / "theirs", 3, name="theirs", model=str(mark.with_name("evil.pt")), width=None)
    log = mark.parent / "theirs" / "records.jsonl"
    log.write_text(log.read_text().replace('"name":"theirs"', '"classes":["a"],"space_slots":[],"name":"theirs"', 1))
    log.write_text(log.read_text().replace('"fingerprints":{}', '"fingerprints":{"base":"0"}', 1))
    for command in (["report", "theirs", "-o", "r.html"], ["export", "theirs", "--pick", "best"]):
        run([*command, "--runs", "."])
        assert not mark.exists()
    assert "posix.system" in capsys.readouterr().err


@pytest.mark.parametrize("recorded", ["right", "other"])
def test_module_files_of_a_run_folder_run_only_if_they_are_ones_own(mark, clean, recorded):
    from nas_attn.bundle.study_base import base_of
    from nas_attn.study import read_study

    text = GOOD + f"\nopen({str(mark)!r}, 'w').close()\n"
    source = user.Source("mine", text)
    study_with_modules(mark.parent / "theirs", text, source.digest if recorded == "right" else "0" * 16)
    view = read_study(mark.parent / "theirs")
    with pytest.raises(UserError, match="--trust"):
        base_of(view)
    assert run(["report", "theirs", "--runs", ".", "-o", "r.html"]) == 0
    assert run(["export", "theirs", "--runs", ".", "--pick", "best"]) == 2
    assert not mark.exists()
    trust.remember([source])
    if recorded == "right":
        base_of(view)
    else:
        with pytest.raises(UserError, match="that the study's header names"):
            base_of(view)
    assert mark.exists() == (recorded == "right")


@pytest.mark.skipif(sys.platform == "win32", reason="files have no mode there")
def test_the_list_of_named_contents_cannot_be_forged(mark, clean):
    source = user.Source("mine", GOOD)
    assert not trust._named(source)
    trust.remember([source])
    assert trust._named(source) and not trust._named(user.Source("mine", GOOD + " "))
    key = next(cache_root().glob("trust-*")) / "key"
    assert key.stat().st_mode & 0o077 == 0
    kept = key.read_bytes()
    key.chmod(0o644)  # others can read it, and so write seals
    assert not trust._named(source)
    key.unlink()
    assert not trust._named(source)
    key.write_bytes(kept)
    key.chmod(0o600)
    assert trust._named(source)


def test_a_bundle_of_somebody_else(mark, clean, capsys):
    from nas_attn.bundle import card as cards
    from nas_attn.bundle.verify import verify_bundle
    from nas_attn.bundle.winner import Winner
    from nas_attn.bundle.write import write_bundle

    file = mark.with_name("mine.py")
    file.write_text(GOOD + f"\nopen({str(mark)!r}, 'w').close()\n")
    user.load(file)
    base = load_base("yolo11n", width=WIDTH)
    slots = all_slots(base)
    from nas_attn.bundle.named_model import named_architecture

    winner = Winner(base, slots, named_architecture("p3=mine", slots, 320), tuple(map(str, range(80))), 320)
    write_bundle(mark.with_name("b"), winner, onnx=False)
    assert cards.read(mark.with_name("b"))
    mark.unlink()
    checks = verify_bundle(mark.with_name("b"))
    assert any("--trust" in c.problem for c in checks) and not mark.exists()
    assert run(["export", "--verify", "b", "--trust"]) == 0
    assert mark.exists()
    shutil.rmtree("b")
    assert io.StringIO(capsys.readouterr().out).read()


def test_a_file_that_only_the_records_name_does_not_run(mark, clean):
    from nas_attn.errors import ConfigError
    from nas_attn.study.config_sources import load_config
    from nas_attn.study.inputs import load_own

    file = mark.with_name("mine.py")
    file.write_text(GOOD + f"\nopen({str(mark)!r}, 'w').close()\n")
    with pytest.raises(ConfigError, match=r"mine\.py.*--modules FILE"):
        load_own([str(file)])
    assert not mark.exists()
    load_config("x", {"data": "d.yaml", "module_files": [str(file)]})  # what `search x --modules mine.py` reads
    load_own([str(file)])
    assert mark.exists()
