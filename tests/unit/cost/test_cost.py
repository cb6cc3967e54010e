"""The counting rules and the cost table, on modules that are small enough to count by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fabricated_studies import Fabricator
from torch import nn

from nas_attn.cost import COUNTING, ZERO, Cost, CostTable, counter
from nas_attn.cost.cost import true_names
from nas_attn.cost.counter import count, gene_cost
from nas_attn.detector.model.base_model import build_yaml, load_base
from nas_attn.detector.model.flops import ultralytics_gflops
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import architecture_yaml
from nas_attn.errors import UnknownName, UserError
from nas_attn.space import Architecture, Gene, Slot
from nas_attn.study import read_study

P3, P4 = Slot("p3", 1, 8, 8), Slot("p4", 2, 16, 16)
GENES = {
    P3: [Gene("none"), Gene.parse("lska(k_size=7)")],
    P4: [Gene("none"), Gene.parse("lska(k_size=7,residual=scaled)")],
}


class Attention(nn.Module):
    def forward(self, x):
        q = x.flatten(2).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(q, q, q)


class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.rfft2(x).abs()


def test_attention_is_counted_beside_fvcores_own_figure():
    cost = count(Attention(), 4, 5, channels=8)
    assert (cost.macs, cost.macs_fvcore_default) == (2 * 20 * 20 * 8, 0)
    assert cost.flops_torch == 2 * cost.macs


def test_an_unlisted_op_is_an_error_that_names_it():
    with pytest.raises(UserError, match=r"aten::fft_rfft2.*costs=\{"):
        count(Spectrum(), 4, 4)


class Grid(nn.Module):
    def forward(self, x):
        return nn.functional.grid_sample(x, torch.zeros(1, 3, 7, 2), align_corners=False)


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.BatchNorm2d(8), 2 * 8 * 20),
        (nn.BatchNorm2d(8, affine=False), 8 * 20),
        (nn.GroupNorm(2, 8), 5 * 8 * 20),
        (nn.GroupNorm(2, 8, affine=False), 4 * 8 * 20),
        (nn.LayerNorm((8, 4, 5)), 5 * 8 * 20),
        (nn.InstanceNorm2d(8, affine=True), 5 * 8 * 20),
        (nn.Upsample(scale_factor=2), 8 * 80),
        (nn.Upsample(scale_factor=2, mode="bilinear"), 4 * 8 * 80),
        (Grid(), 4 * 8 * 3 * 7),
        (nn.AdaptiveAvgPool2d(2), 8 * 20),
        (nn.AvgPool2d(2), 0),
        (nn.MaxPool2d(2), 0),
        (nn.Softmax(1), 0),
        (nn.SiLU(), 0),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else None,
)
def test_work_per_element_as_fvcore_counts_it(layer, macs):
    """As described in `nas_attn/cost/README.md`; torch's counter counts nothing of it."""
    cost = count(layer, 4, 5, channels=8)
    assert (cost.macs, cost.macs_fvcore_default, cost.flops_torch) == (macs, macs, 0)


def test_counting_changes_nothing_in_the_model():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    model[2].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one, four = (count(model, 8, 8, batch=n, extra_macs=5) for n in (1, 4))
    assert one.macs == 3 * 4 * 9 * 36 + 2 * 4 * 36 + 5  # batch norm counts 2 per element in eval mode, 5 in training
    assert (four.macs, four.params) == (4 * one.macs, one.params)
    assert [m.training for m in model] == [True, True, False]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_counting_a_gene_draws_nothing_from_the_callers_generator():
    before = torch.get_rng_state()
    gene_cost(Gene.parse("lska(k_size=7)"), 8, 4, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_units():
    assert Cost(1_500_000_000, 2_000_000_000, 3_000_000_000, 2_500_000).as_dict() == {
        "gmacs": 1.5,
        "gmacs_fvcore_default": 2.0,
        "gflops_torch": 3.0,
        "params_m": 2.5,
    }
    assert Cost(1, 2, 3, 4) + Cost(10, 20, 30, 40) == Cost(11, 22, 33, 44)
    assert gene_cost(Gene("none"), 8, 4, 4) == ZERO


def test_the_table_is_kept_and_read_back(tmp_path, monkeypatch):
    base = nn.Conv2d(3, 8, 3)
    told: list[str] = []
    table = CostTable.build(base, GENES, 64, cache=tmp_path, tell=told.append)
    total = sum(map(len, GENES.values()))
    assert told == [f"counting cost, {i} of {total}" for i in range(1, total + 1)]
    assert len(list(tmp_path.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(counter, "count", None)  # a second count would fail
        patch.setattr(counter, "gene_cost", None)
        assert CostTable.build(base, GENES, 64, cache=tmp_path) == table
    CostTable.build(base, GENES, 96, cache=tmp_path)
    CostTable.build(nn.Conv2d(3, 8, 1), GENES, 64, cache=tmp_path)
    CostTable.build(base, {P3: GENES[P3]}, 64, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_kept_table_serves_its_own_rules_of_counting(tmp_path):
    """A study of release 0.1.0 and a new study share the cache folder."""
    base, genes = nn.Conv2d(3, 32, 3), {Slot("p3", 1, 32, 8): [Gene.parse("sk(kernel_sizes=[3,5],reduction=4)")]}
    for _ in range(2):
        old, new = (CostTable.build(base, genes, 64, cache=tmp_path, counting=n) for n in (1, COUNTING))
        ((_, before),), ((_, now),) = old.cells["p3"].items(), new.cells["p3"].items()
        assert now.macs - before.macs == 2 * 32 * 8 * 8 and old.base == new.base
    assert len(list(tmp_path.iterdir())) == 2


def test_what_0_1_0_wrote_is_shown_under_a_true_name(tmp_path):
    written = {"gmacs": 3.0, "gmacs_fvcore_default": 2.9, "gflops_ultralytics": 6.0, "params_m": 2.6}
    log = Fabricator(tmp_path / "old").log
    log.append("started", number=0, role="base", architecture="p3=none", seed=0, cost=written, sampled={})
    view = read_study(tmp_path / "old")
    assert view.trials[0].cost == {"gmacs": 3.0, "gmacs_fvcore_default": 2.9, "gflops_torch": 6.0, "params_m": 2.6}
    assert view.frame()["gflops_torch"].tolist() == [6.0] and "gflops_ultralytics" not in view.frame()
    both = {"gflops_torch": 6.0, "gflops_ultralytics": 6.1}  # recorded today: the second figure is Ultralytics' own
    assert true_names(both) == both and true_names({"flops_ultralytics": 6}) == {"flops_torch": 6}


@pytest.mark.parametrize("changed", ["zoo/_large_kernel.py", "residual.py"])
def test_the_table_is_counted_anew_when_code_of_a_module_changes(changed, tmp_path, monkeypatch):
    base = nn.Conv2d(3, 8, 3)
    CostTable.build(base, GENES, 64, cache=tmp_path)
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * p.as_posix().endswith(f"attention/{changed}"))
    CostTable.build(base, GENES, 64, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["p3=acmix", "--nc", "0"], "`--nc` must be at least 1"),
        (["p3=acmix", "--nc", "-3"], "`--nc` must be at least 1"),
        (["p3=acmix", "--imgsz", "100"], "multiple of the model's stride"),
        (["p3=efficient_attention", "--imgsz", "1280"], "attention logits per image on a 160x160 map"),
        (["--width", "0"], "`width` must be above 0"),
    ],
)
def test_what_the_cost_command_refuses(arguments, says, capsys):
    from nas_attn.cli.app import run

    assert run(["cost", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_cost_command_takes_a_width(capsys):
    from nas_attn.cli.app import run

    assert run(["cost", "--width", "0.125", "--nc", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "yolo11n-w0.125" and 0 < found["costs"][0]["params_m"] < 1


def test_the_cost_command_has_the_figure_that_ultralytics_prints(capsys):
    """For strip pooling, Ultralytics' figure is above torch's, because it includes the batch norms of the module."""
    from nas_attn.cli.app import run

    architecture = Architecture.parse("p3=strip(kernel_size=3) p4=none p5=none")
    assert run(["cost", str(architecture), "--json"]) == 0
    plain, strip = json.loads(capsys.readouterr().out)["costs"]
    base = load_base("yolo11n")
    model = build_yaml(architecture_yaml(base, all_slots(base), architecture)[0]).eval()
    printed = model.fuse(verbose=False).info(verbose=True)[-1]  # layers, parameters, gradients, GFLOPs
    assert strip["gflops_ultralytics"] == printed > 1.005 * strip["gflops_torch"]
    assert plain["gflops_ultralytics"] == pytest.approx(plain["gflops_torch"], rel=1e-12)


def test_counting_by_ultralytics_changes_nothing_in_the_model():
    model = load_base("yolo11n").build()
    assert ultralytics_gflops(model, 64) == pytest.approx(count(model, 64, 64).gflops_torch, rel=1e-12)
    assert model.training and not model.is_fused()


def test_the_cost_of_an_architecture():
    table = CostTable.build(nn.Conv2d(3, 8, 3), GENES, 64)
    p3, p4 = gene_cost(GENES[P3][1], 8, 8, 8), gene_cost(GENES[P4][1], 16, 4, 4)
    both = Architecture.parse("p3=lska(k_size=7) p4=lska(k_size=7,residual=scaled)")
    assert table.cost(both) == table.base + p3 + p4
    assert table.cost(Architecture.parse("p3=none")) == table.base
    assert table.many([both, Architecture.parse("p4=none")]).tolist() == [
        list(table.cost(both).as_tuple()),
        list(table.base.as_tuple()),
    ]
    assert table.many([]).shape == (0, 4)


@pytest.mark.parametrize(("text", "error"), [("p9=none", UnknownName), ("p3=conv", UserError)])
def test_what_the_table_does_not_hold(text, error):
    table = CostTable.build(nn.Conv2d(3, 8, 3), GENES, 64)
    for ask in (table.cost, lambda a: table.many([a])):
        with pytest.raises(error):
            ask(Architecture.parse(text))


@pytest.mark.parametrize(
    ("architecture", "declared"),
    [
        ("p3=none", 0),
        ("p3=acmix(head=2,kernel_att=3) p5=lska(k_size=7)", 18 * 64 * 80 * 80),
        ("p4=acmix(head=4,kernel_att=7,residual=scaled)", 98 * 128 * 40 * 40),
        ("inner.p5.replace=acmix(head=4,kernel_att=5)", 2 * 50 * 64 * 20 * 20),
        (
            "inner.p3.insert=acmix(head=2,kernel_att=7,residual=scaled) inner.p3.replace=acmix(head=2,kernel_att=3)",
            98 * 32 * 80 * 80 + 18 * 16 * 80 * 80,
        ),
    ],
)
def test_a_detector_that_holds_attention_is_counted_whole(architecture, declared):
    """For example an exported YAML as base: each ACmix has 2·k²·C·H·W multiply-accumulates that fvcore cannot count."""
    base = load_base("yolo11n")
    model = build_yaml(architecture_yaml(base, all_slots(base), Architecture.parse(architecture))[0])
    found = count(model, 640, 640)
    assert found.macs - found.macs_fvcore_default == declared
