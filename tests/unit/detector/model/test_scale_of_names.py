"""The scale that a model name means: the same as in Ultralytics, so that a search runs the same model."""

from __future__ import annotations

import shutil

import pytest
import torch
import yaml

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.shipped_models import at_scale, detectors, larger_scales, packaged, scale_of
from nas_attn.errors import UnknownName

# name of a user's file with the scales n, s, m, l, x in this order -> the scale that Ultralytics 8.4.190 builds
FILES = {
    "yolo11": "n", "yolo11s": "s", "yolo11-s": "n", "yolo11seg": "s", "yolov8small": "s", "yolo11n_acmix2s": "n",
    "yolo11m-acmix": "m", "run2l-yolo11n": "n", "my-acmix3m": "n", "my_yolov8x_2": "x", "custom_v2x": "n",
    "exp1l": "n", "yoloe-11l-seg": "l", "yoloev8m": "n", "YOLO11s": "n", "yolo11s.acmix": "s", "acmix.yolo11s": "s",
}  # fmt: skip


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A function that writes a changed copy of Ultralytics' yolo11.yaml under a name in the working directory."""
    monkeypatch.chdir(tmp_path)

    def copy(name: str, **changes) -> str:
        content = yaml.safe_load(packaged()["yolo11"].read_text())
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
        return f"{name}.yaml"

    return copy


def scale_of_ultralytics(name: str) -> str:
    from ultralytics.nn.tasks import yaml_model_load

    model_yaml = yaml_model_load(name)
    return model_yaml["scale"] or next(iter(model_yaml["scales"]))


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_scale_that_ultralytics_takes(name, shipped):
    path = shipped(name)
    base = load_base(path)
    assert (base.scale, base.name) == (FILES[name], name) and FILES[name] == scale_of_ultralytics(path)
    assert base.factors == tuple(yaml.safe_load(packaged()["yolo11"].read_text())["scales"][base.scale])


def test_a_scale_written_in_a_file_is_passed_over(shipped):
    """Ultralytics replaces it by its own guess."""
    for name, scale in (("yolo11m", "m"), ("mine", "n")):
        path = shipped(name, scale="x")
        assert load_base(path).scale == scale == scale_of_ultralytics(path)


def test_a_file_found_without_its_scale(shipped, tmp_path):
    """Users of Ultralytics type `yolo11s-acmix.yaml` for the file yolo11-acmix.yaml."""
    shipped("yolo11-acmix", nc=7)
    (tmp_path / "deep").mkdir()
    shutil.move(shipped("yolov8", nc=6), tmp_path / "deep")
    shipped("yolo11", nc=5)  # preferred to the shipped file
    found = {"yolo11s-acmix": (7, "s"), "deep/yolov8x": (6, "x"), "yolo11m": (5, "m"), "yolo12m": (80, "m")}
    for stem, (nc, scale) in found.items():
        base = load_base(name := f"{stem}.yaml")
        assert (base.nc, base.scale, base.name) == (nc, scale, stem.removeprefix("deep/"))
        assert scale == scale_of_ultralytics(name)
    with pytest.raises(UnknownName):
        load_base("deep/yolo11s.yaml")


def test_one_entry_is_taken_under_any_name(shipped):
    """Files that `nas-attn` writes have one entry; Ultralytics itself only fails on such a name."""
    assert load_base(shipped("yolo11x", scales={"s": [0.5, 0.5, 1024]})).scale == "s"


def test_a_scale_that_a_file_lacks(shipped):
    with pytest.raises(UnknownName, match=r"scale must be a known one, but got 'x'"):
        load_base(shipped("yolo11x", scales={"n": [0.5, 0.25, 1024], "s": [0.5, 0.5, 1024]}))


def test_a_checkpoint_has_the_scale_that_it_was_built_at(tmp_path):
    """The user chose the name of the file, so it does not count; without a scale, Ultralytics built the first one."""
    from ultralytics.nn.tasks import DetectionModel

    scales = {"n": [0.5, 0.125, 1024], "l": [0.5, 0.25, 1024]}
    content = {**yaml.safe_load(packaged()["yolo11"].read_text()), "scales": scales}
    for stated, built in (({}, "n"), ({"scale": ""}, "n"), ({"scale": "l"}, "l")):
        for name in ("yolo11l.pt", "yolo11n.pt", "best.pt"):
            torch.save({"model": DetectionModel({**content, **stated}, verbose=False)}, tmp_path / name)
            assert load_base(str(tmp_path / name)).scale == built


@pytest.mark.parametrize("suffix", ["", ".yaml"])
def test_shipped_names_mean_what_they_mean_to_ultralytics(suffix):
    from ultralytics.nn.tasks import yaml_model_load

    for scale in "nsmlx":
        for name in detectors(scale):
            theirs = yaml_model_load(f"{name}.yaml")
            given = theirs.get("scales") or {}
            if theirs["scale"] in given or not theirs["scale"]:
                base = load_base(name + suffix)
                assert base.scale == (theirs["scale"] or next(iter(given), "n")), name
                assert not given or base.factors == tuple(given[base.scale]), name


@pytest.mark.parametrize(
    ("model", "scale", "larger"),
    [
        ("yolo11n.yaml", "n", "smlx"),
        ("yolo11x.yaml", "x", ""),
        ("yolo11n-seg.yaml", "n", "smlx"),
        ("yolov8n-p2", "n", "smlx"),
        ("yolov9t.yaml", "t", "smce"),
        ("yolov10m.yaml", "m", "blx"),
        ("rtdetr-l.yaml", "l", "x"),
        ("yolov3-tiny.yaml", None, ""),
        ("yolov8-cls.yaml", None, ""),
        ("own/yolo11n.yaml", "n", "smlx"),
        ("mine.yaml", None, ""),
    ],
)
def test_larger_scales_of_a_family(model, scale, larger):
    """The letters come from the YAMLs that Ultralytics ships: `scales` in one YAML, or one YAML for each scale."""
    assert scale_of(model) == scale
    assert "".join(larger_scales(model)) == larger
    for size in larger:
        assert scale_of(at_scale(model, size)) == size
