"""Work that is shared among threads: equal bits with any number of threads, one thread per piece, errors are raised."""

from __future__ import annotations

import threading

import pytest
import torch

from nas_attn.attention.zoo._sharing import share
from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.efficient_attention import EfficientAttention
from nas_attn.cost.latency import measure


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("make", [lambda: ACmix(32, 32), lambda: EfficientAttention(32, 8, [4, 4], [3], 2)])
@pytest.mark.parametrize("shape", [(3, 32, 20, 17), (1, 32, 20, 17), (0, 32, 20, 17)])
def test_results_are_those_of_one_thread(make, shape, threads):
    torch.manual_seed(0)
    module = make().double()
    x = torch.randn(shape, dtype=torch.float64)
    results = []
    for count in (1, 2, 5):
        threads(count)
        module.zero_grad()
        leaf = x.clone().requires_grad_()
        y = module(leaf)
        y.square().sum().backward()
        with torch.inference_mode():
            z = module(x)
        assert torch.get_num_threads() == count
        results.append([y.detach(), z.clone(), leaf.grad, *(p.grad for p in module.parameters())])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_each_piece_is_done_once_by_one_thread(threads):
    threads(3)
    done, alone, together = [], [], threading.Barrier(3, timeout=20)

    def work(piece):
        if piece < 3:
            together.wait()  # returns only if three threads run at the same time
        alone.append(torch.get_num_threads())
        assert not torch.is_grad_enabled()
        done.append(piece)

    with torch.no_grad():
        share(work, range(20), torch.zeros(1))
    assert sorted(done) == list(range(20)) and set(alone) == {1} and torch.get_num_threads() == 3
    assert threading.active_count() == 1 or all("help_out" not in t.name for t in threading.enumerate())


def test_an_error_in_a_piece_ends_the_work(threads):
    threads(2)
    with pytest.raises(ZeroDivisionError):
        share(lambda piece: 1 // piece, range(5), torch.zeros(1))
    assert torch.get_num_threads() == 2


def test_without_further_threads_the_work_is_done_here(threads, monkeypatch):
    threads(4)

    def refuse(_self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    share(done.append, range(7), torch.zeros(1))
    assert done == list(range(7)) and torch.get_num_threads() == 4


def test_latency_is_that_of_one_thread(threads):
    threads(3)
    seen = set()

    class Watching(torch.nn.Conv2d):
        def forward(self, x):
            if not torch.is_grad_enabled() or x.shape[0] == 2:
                seen.add(torch.get_num_threads())
            return super().forward(x)

    measure(Watching(4, 4, 1), 4, 3, 3, batch=2)
    assert seen - {3} == {1} and torch.get_num_threads() == 3
