"""Work shared among the threads of a CPU: each thread computes whole pieces alone.

Tiles consist of many small operators. If every operator is split among threads, the threads wait for each other
thousands of times in a step; on a busy machine this takes ten times as long as the arithmetic. A thread that computes
its piece alone never waits, and its result is the same, bit for bit, with any number of threads.
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
    """Call `work` on every piece, in as many threads as torch may use; no gradient is recorded.

    Args:
        work: writes each result to its own place; must not depend on the order of the pieces.
        pieces: the arguments for `work`.
        like: a tensor of the work. If it is not on a CPU, is fake, or is watched by a torch dispatch mode, this thread
            computes all pieces, one after another.
    Raises:
        BaseException: the first exception that `work` raised.
    """
    waiting, threads = deque(pieces), torch.get_num_threads()
    plain = like.device.type == "cpu" and type(like) is Tensor and not _python_dispatch._len_torch_dispatch_stack()
    if threads == 1 or not plain:
        for piece in waiting:
            work(piece)
        return
    inference, failed = torch.is_inference_mode_enabled(), list[BaseException]()

    def take() -> None:
        torch.set_num_threads(1)  # for the operators that this thread calls
        try:
            while waiting:
                try:
                    piece = waiting.popleft()
                except IndexError:  # another thread took the last piece
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
        pass  # the system allows no more threads, so the running ones do the work
    try:
        take()
        for helper in started:
            helper.join()
    finally:
        waiting.clear()
        torch.set_num_threads(threads)
    if failed:
        raise failed[0]
