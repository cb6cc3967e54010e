"""Pieces of work shared among a CPU's threads, each piece by one thread alone.

Tiles are many small operators. If each of them is split among threads, threads wait for one another thousands of times
in a step, and on a machine with other work that costs ten times the arithmetic. A piece that stays with one thread
never waits, and gives the same bits with any number of threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils import _python_dispatch

Piece = TypeVar("Piece")


def share(work: Callable[[Piece], None], pieces: Iterable[Piece], like: Tensor) -> None:
    """`work` on every piece, with as many threads at a time as torch may use; no gradient is recorded.

    Args:
        work: writes each piece's result to its own place; must not depend on the order of pieces.
        pieces: the arguments for `work`.
        like: a tensor of the work. If it is not on a CPU, is fake or is watched, the pieces are done here, one by one.
    """
    waiting, threads = deque(pieces), torch.get_num_threads()
    plain = like.device.type == "cpu" and type(like) is Tensor and not _python_dispatch._len_torch_dispatch_stack()
    if threads == 1 or not plain:
        for piece in waiting:
            work(piece)
        return
    inference, failed = torch.is_inference_mode_enabled(), list[BaseException]()

    def take() -> None:
        torch.set_num_threads(1)  # of the operators that this thread calls
        try:
            while waiting:
                try:
                    piece = waiting.popleft()
                except IndexError:  # another thread was quicker
                    return
                work(piece)
        except BaseException as error:
            waiting.clear()
            failed.append(error)

    def help_out() -> None:
        with torch.inference_mode(inference), torch.no_grad():
            take()

    helpers = [threading.Thread(target=help_out, daemon=True) for _ in range(min(threads, len(waiting)) - 1)]
    started = []
    try:
        for helper in helpers:
            helper.start()
            started.append(helper)
    except RuntimeError:
        pass  # no more threads are to be had: those that run do the work
    try:
        take()
        for helper in started:
            helper.join()
    finally:
        waiting.clear()
        torch.set_num_threads(threads)
    if failed:
        raise failed[0]
