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
    # basic checks come first: if one fails, other checks would report the same fault in a confusing way
    Check("construction", "settings reach the constructor", construction, basic=True),
    Check("maps", "output has the shape and dtype of any map, and is finite", maps, on_device=True, basic=True),
    Check("pure", "does not change its input; evaluation draws no random numbers", pure, basic=True),
    Check("yaml row", "a YAML row builds the same module", yaml_row),
    Check(
        "settings",
        "every setting changes the network, and the module changes its map",
        settings_matter,
        once=True,
        leaves_out=any_but_none,
    ),
    Check("names", "has no name that Ultralytics uses for something else", names),
    Check("single value", "trains at batch 1 on a 1x1 map", single_value, excuse="single_value"),
    Check("gradients", "every parameter receives a finite gradient", gradients, on_device=True),
    Check("half", "float16, error at most 5 %", half, on_device=True, excuse="half"),
    Check("bfloat16", "bfloat16, error at most 5 %", bfloat16, on_device=True, excuse="bfloat16"),
    Check("autocast", "autocast to bfloat16, error at most 5 %", autocast, on_device=True),
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
    # a CPU can be deterministic if CUDA is not, so a pass on the CPU does not disprove a declaration
    Check(
        "deterministic",
        "equal runs give equal gradients",
        deterministic,
        on_device=True,
        excuse="deterministic",
        provable=False,
    ),
    Check("batch", "a batch of two equals two batches of one", batch_independence),
    Check("copies", "deepcopy, pickle, EMA, state_dict", copies),
    Check("no trace", "changes neither module nor process", no_trace),
    Check("residual", "residual=scaled starts as the identity", scaled, leaves_out=any_but_none),
    Check("forms", "the fast form equals the reference form", forms, leaves_out=only_one),
    Check("cost", "every op has a cost, and products equal torch's own count", cost),
    Check("fuse", "Ultralytics' fuse() changes nothing", fuse, slow=True, leaves_out=any_but_none),
    Check("fresh process", "loads in a process that imports only torch", fresh_process, slow=True),
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
