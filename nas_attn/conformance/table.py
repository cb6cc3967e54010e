"""The table of all checks, in the order in which they run."""

from __future__ import annotations

from nas_attn.conformance.check import Check, any_but_none
from nas_attn.conformance.construction import construction, names, settings_matter, yaml_row
from nas_attn.conformance.copies import copies, fuse
from nas_attn.conformance.costs import cost
from nas_attn.conformance.graphs import compile_, compile_dynamic, onnx, onnx_dynamic
from nas_attn.conformance.layouts import layouts, meta
from nas_attn.conformance.numerics import (
    autocast,
    batch_independence,
    bfloat16,
    deterministic,
    gradients,
    half,
    large_half,
    maps,
    single_value,
)
from nas_attn.conformance.process import fresh_process
from nas_attn.conformance.residual import scaled
from nas_attn.conformance.traces import no_trace, pure
from nas_attn.conformance.two_forms import forms, only_one

CHECKS = (
    # these come first and stop the others, which would report the same fault as something else
    Check("construction", "settings reach the constructor", construction, basic=True),
    Check("maps", "keeps any map's shape and type; finite", maps, on_device=True, basic=True),
    Check("pure", "leaves its input as it is; evaluation draws nothing at random", pure, basic=True),
    Check("yaml row", "a YAML row builds the same module", yaml_row),
    Check(
        "settings",
        "every setting changes the network, which is not `none`",
        settings_matter,
        once=True,
        leaves_out=any_but_none,
    ),
    Check("names", "no name that Ultralytics uses for something else", names),
    Check("single value", "trains at batch 1 on a 1x1 map", single_value, excuse="single_value"),
    Check("gradients", "every parameter receives a finite gradient", gradients, on_device=True),
    Check("half", "float16 within 5 %", half, on_device=True, excuse="half"),
    Check("bfloat16", "bfloat16 within 5 %", bfloat16, on_device=True, excuse="bfloat16"),
    Check("autocast", "autocast to bfloat16 within 5 %", autocast, on_device=True),
    Check(
        "large in half",
        "inputs of scale 30 stay finite in float16",
        large_half,
        on_device=True,
        excuse="half",
        provable=False,
    ),
    Check("layouts", "channels_last, transposed and strided input", layouts),
    Check("meta", "runs on the meta device", meta, excuse="meta"),
    # a CPU is deterministic where CUDA is not, so a pass there disproves no declaration
    Check(
        "deterministic",
        "equal runs, equal gradients",
        deterministic,
        on_device=True,
        excuse="deterministic",
        provable=False,
    ),
    Check("batch", "a batch of two is two batches of one", batch_independence),
    Check("copies", "deepcopy, pickle, EMA, state_dict", copies),
    Check("no trace", "changes neither module nor process", no_trace),
    Check("residual", "residual=scaled starts as the identity", scaled, leaves_out=any_but_none),
    Check("forms", "the fast form is the reference form", forms, leaves_out=only_one),
    Check("cost", "every op has a cost, equal to torch's own count", cost),
    Check("fuse", "Ultralytics' fuse() changes nothing", fuse, slow=True, leaves_out=any_but_none),
    Check("fresh process", "loads where only torch is imported", fresh_process, slow=True),
    Check("onnx", "ONNX for one size", onnx, slow=True, excuse="onnx"),
    Check("onnx dynamic", "one ONNX file for any size", onnx_dynamic, slow=True, excuse="onnx_dynamic"),
    Check("compile", "torch.compile without a graph break", compile_, slow=True, excuse="compile"),
    Check(
        "compile dynamic",
        "torch.compile for any size",
        compile_dynamic,
        slow=True,
        once=True,
        excuse="compile",
        provable=False,
    ),
)
BY_NAME = {check.name: check for check in CHECKS}
