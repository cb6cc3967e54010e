"""The articles' YAMLs: after adoption each builds, is the network that the article means, and trains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nas_attn.cli.app import run
from nas_attn.space import Architecture

ARTICLES = Path(__file__).parent / "articles"
ACMIX = "acmix(head=4,kernel_att=7)"
CASES = {
    "acmix_yolo11": ("yolo11n", f"p3={ACMIX} p4={ACMIX} p5={ACMIX}"),
    "acmix_yolov8": ("yolov8n", f"p3={ACMIX} p4={ACMIX} p5={ACMIX}"),
    "acmix_p5_yolov8": ("yolov8n", f"p5={ACMIX}"),
    "efficient_attention_yolov5": ("yolov5n", "sppf.pre=efficient_attention(group_split=[4,4],window_size=4)"),
    "lska_yolo11": ("yolo11n", "p3=lska(k_size=23) p4=lska(k_size=23) p5=lska(k_size=23)"),
}
# the meaning of each article, written by hand: the rows of attention at scale n, and the repaired row
MEANT: dict[str, dict[int, list[Any]]] = {
    "acmix_yolo11": {
        17: [-1, 1, "ACmix", [64, 64]],
        21: [-1, 1, "ACmix", [128, 128]],
        25: [-1, 1, "ACmix", [256, 256]],
    },
    "acmix_yolov8": {
        16: [-1, 1, "ACmix", [64, 64]],
        20: [-1, 1, "ACmix", [128, 128]],
        24: [-1, 1, "ACmix", [256, 256]],
    },
    "acmix_p5_yolov8": {22: [-1, 1, "ACmix", [256, 256]]},
    "efficient_attention_yolov5": {
        9: [-1, 1, "EfficientAttention", [256, 8, [4, 4], [3], 4]],
        20: [[-1, 15], 1, "Concat", [1]],
        25: [[18, 21, 24], 1, "Detect", ["nc"]],
    },
    "lska_yolo11": {17: [-1, 1, "LSKA", [64, 23]], 21: [-1, 1, "LSKA", [128, 23]], 25: [-1, 1, "LSKA", [256, 23]]},
}


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    """Name of an article -> (output of `adopt --json`, the fixed file), for three classes."""
    folder = tmp_path_factory.mktemp("adopted")
    said: dict[str, Any] = {}

    def get(name: str, capfd) -> tuple[Any, Path]:
        if name not in said:
            file = folder / f"fixed_{len(said)}.yaml"
            capfd.readouterr()
            arguments = ("adopt", ARTICLES / f"{name}.yaml", "-o", file, "--model-scale", "n", "--nc", 3, "--json")
            assert run([str(a) for a in arguments]) == 0
            said[name] = json.loads(capfd.readouterr().out), file
        return said[name]

    return get


def built(model: Any) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(model, verbose=False)


def assert_equal_networks(one: Any, other: Any) -> None:
    """Both networks have the same tensors in the same order and, with equal values, the same output bit for bit."""
    shapes = [[(k.split(".", 2)[2], tuple(v.shape)) for k, v in m.state_dict().items()] for m in (one, other)]
    assert shapes[0] == shapes[1]
    torch.manual_seed(3)
    values = {k: v + 0.01 * torch.rand_like(v) if v.is_floating_point() else v for k, v in one.state_dict().items()}
    one.load_state_dict(values)
    other.load_state_dict(dict(zip(other.state_dict(), values.values(), strict=True)))
    x = torch.rand(1, 3, 96, 64)
    with torch.no_grad():
        outputs = [m.eval()(x)[0] for m in (one, other)]
    assert torch.isfinite(outputs[0]).all() and torch.equal(*outputs)


@pytest.mark.parametrize("name", CASES)
def test_an_article_is_named_and_costed(name, adopted, capfd):
    said, _ = adopted(name, capfd)
    base, architecture = CASES[name]
    assert (said["base"], said["known_base"], said["scale"], said["nc"]) == (base, True, "n", 3)
    assert said["architecture"] == architecture
    command = ("cost", architecture, "--model", base, "--nc", "3", "--json")
    assert run(list(command)) == 0
    costs = json.loads(capfd.readouterr().out)["costs"]
    assert said["base_cost"] == {k: costs[0][k] for k in said["base_cost"]}
    assert said["cost"] == {k: costs[1][k] for k in said["cost"]}


@pytest.mark.parametrize("name", CASES)
def test_the_fixed_file_is_what_the_article_means(name, adopted, capfd):
    import nas_attn  # noqa: F401 (makes the modules known to Ultralytics)

    _, file = adopted(name, capfd)
    source = yaml.safe_load((ARTICLES / f"{name}.yaml").read_text())
    rows = source["backbone"] + source["head"]
    for number, row in MEANT[name].items():
        rows[number] = row
    scales = source.get("scales") or {"n": [source["depth_multiple"], source["width_multiple"], 1024]}
    meant = {"nc": 3, "scales": {"n": scales["n"]}, "backbone": rows, "head": []}
    assert_equal_networks(built(str(file)), built(meant))


@pytest.mark.parametrize("name", CASES)
def test_the_fixed_file_is_our_own_surgery(name, adopted, capfd, known_base):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import all_slots
    from nas_attn.detector.neck.surgery import architecture_yaml

    _, file = adopted(name, capfd)
    base = load_base(CASES[name][0], nc=3)
    ours, _ = architecture_yaml(base, all_slots(base), Architecture.parse(CASES[name][1]))
    fixed = yaml.safe_load(file.read_text())
    assert fixed["backbone"] + fixed["head"] == ours["backbone"] + ours["head"]
    assert_equal_networks(built(str(file)), built(ours))


def test_what_is_wrong_is_said(adopted, capfd):
    said, file = adopted("efficient_attention_yolov5", capfd)
    repairs = {(r["row"], r["was"], r["now"]) for r in said["repairs"]}
    assert (20, "[-1, 14]", "[-1, 15]") in repairs
    assert (25, "[nc, anchors]", "[nc]") in repairs
    assert (None, "depth_multiple 0.33 and width_multiple 0.25", "scale n") in repairs
    assert "row 20 (Concat): was [-1, 14], is now [-1, 15]: yolov5 reads its row 14 there" in file.read_text()
    said, _ = adopted("acmix_yolo11", capfd)
    assert said["repairs"] == []
    (comment,) = [s["text"] for s in said["suspicions"] if s["kind"] == "comment"]
    assert "row 20 says # 19, row 24 says # 22" in comment
    for name in ("acmix_yolov8", "acmix_p5_yolov8", "lska_yolo11"):
        said, _ = adopted(name, capfd)
        assert said["repairs"] == said["suspicions"] == []


@pytest.mark.parametrize("name", CASES)
def test_the_fixed_file_trains(name, adopted, capfd, tiny_data, tmp_path):
    _, file = adopted(name, capfd)
    quick = ("--epochs", 1, "--imgsz", 64, "--batch", 4, "--device", "cpu", "-o", tmp_path, "workers=0", "--json")
    assert run([str(a) for a in ("train", file, "--data", tiny_data, *quick)]) == 0
    out = capfd.readouterr().out
    (trained,) = json.loads(out[out.index('{\n "runs"') :])["runs"]
    assert trained["model"] == file.stem and trained["val_map50_95"] >= 0


def test_nothing_is_written_over(tmp_path, capfd):
    article = shutil.copy(ARTICLES / "acmix_p5_yolov8.yaml", tmp_path / "article.yaml")
    before = Path(article).read_text()
    assert run(["adopt", str(article), "-o", str(article)]) == 2
    assert "--force" in capfd.readouterr().err and Path(article).read_text() == before
    assert run(["adopt", str(article), "-o", str(article), "--force"]) == 0
    assert "nas_attn.ACmix" in Path(article).read_text()
    assert run(["adopt", str(article)]) == 2  # exported now
    assert "must not be an export of nas_attn" in capfd.readouterr().err


def test_without_a_file_it_only_says(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run(["adopt", str(ARTICLES / "acmix_yolo11.yaml")]) == 0
    said = capfd.readouterr().out
    assert not list(tmp_path.iterdir())
    assert "on base yolo11n, scale n, 8 classes" in said and "nothing written: give -o FILE" in said
    assert "nc is 8" in said and "row 17 ACmix -> p3=acmix(head=4,kernel_att=7)" in said
