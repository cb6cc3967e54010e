"""Ultralytics' own training of an architecture, with its default arguments: the loop that people write today."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_attn.detector.neck.export import write_yaml
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture


class StockTraining:
    """An evaluator around `YOLO(yaml).train(...)`.

    It sets what the comparison fixes: data, epochs, image size, seed and one thread of the CPU. Everything else is
    Ultralytics' default. Its seconds are CPU seconds.

    Args:
        evaluator: names the base, its slots and the data.
    """

    def __init__(self, evaluator: ProxyEvaluator) -> None:
        self._evaluator = evaluator
        self._base, self._slots, _ = evaluator.final_base()

    def __call__(self, architecture: Architecture, fidelity: Fidelity, seed: int) -> Evaluation:
        from ultralytics import YOLO

        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "best.yaml"
            write_yaml(path, self._base, self._slots, architecture, final_nc=self._evaluator.nc)
            box = YOLO(path, verbose=False).train(
                data=self._evaluator.data, epochs=fidelity.epochs, imgsz=fidelity.imgsz, seed=seed, project=folder,
                device="cpu", workers=0, verbose=False,
            ).box  # fmt: skip
        seconds = time.process_time() - began
        return Evaluation(float(box.map), float(box.map50), (), seconds, seed, fidelity.epochs, fidelity.imgsz)


class CpuSeconds(ProxyEvaluator):
    """A proxy evaluator for a search in one process. Its seconds are all CPU seconds since the run before.

    So the seconds of a search include its own work between two runs.
    """

    spent = 0.0  # CPU seconds of this process that runs have counted

    def _run(self, *arguments: Any, **keywords: Any) -> Evaluation:
        found = super()._run(*arguments, **keywords)
        seconds, CpuSeconds.spent = time.process_time() - CpuSeconds.spent, time.process_time()
        return replace(found, seconds=seconds)
