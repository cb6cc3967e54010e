"""The workers of a search on the CPU: `--jobs auto`, and the cores of a container."""

from __future__ import annotations

import os

import pytest

from nas_attn.errors import UserError
from nas_attn.study import devices
from nas_attn.study.config import StudyConfig
from nas_attn.study.devices import cores, workers

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def quota(tmp_path, monkeypatch):
    """A function that sets the quota of the container."""
    monkeypatch.setattr(devices, "QUOTA", tmp_path / "cpu.max")
    return (tmp_path / "cpu.max").write_text


@pytest.mark.parametrize(
    ("text", "count"),
    [("100000 100000", 1), ("50000 100000", 1), ("99900000 100000", ALLOWED), ("max 100000", ALLOWED), ("", ALLOWED)],
)
def test_the_quota_of_a_container_limits_the_cores(quota, text, count):
    quota(text)
    assert cores() == count


def test_without_a_container_each_allowed_core_counts(quota):
    assert cores() == ALLOWED


def test_there_is_a_worker_for_each_core_with_one_thread(quota, monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda: 2**40)
    assert workers("cpu", None) == (("cpu",) * ALLOWED, 1)
    assert workers("cpu", 1) == (("cpu",), ALLOWED)


def test_no_more_workers_than_fit_into_the_memory(quota, monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda: devices.MEMORY_PER_WORKER // 2)
    assert workers("cpu", None)[0] == ("cpu",)


def test_auto_is_the_default():
    assert StudyConfig(data="d.yaml", jobs="auto") == StudyConfig(data="d.yaml")


def test_apples_gpu_is_refused_with_a_reason():
    with pytest.raises(UserError, match=r"mps: .* trials would not compare. Use --device cpu"):
        workers("mps", 1)
