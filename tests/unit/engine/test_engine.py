"""Worker processes of this machine are pinned, and end with their engine. `contract/` has the rules of every engine."""

from __future__ import annotations

import psutil
from worker_calls import pinned

from nas_attn.engine import Call, LocalEngine


def test_workers_are_pinned_before_torch_is_imported_and_none_is_left_behind(tmp_path):
    with LocalEngine(["cpu"], threads=3, logs=tmp_path) as engine:
        engine.submit(Call("pin", pinned))
        outcome = engine.wait(timeout=120)
        assert outcome is not None
        found = outcome.value
        assert psutil.pid_exists(found.seed)
    assert found.versions == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "3", "torch": "no"}
    assert not psutil.pid_exists(found.seed)
