"""An engine without worker processes: it runs each call in the caller's process.

Use it in tests, with evaluators that train nothing, and in a debugger. It is also the shortest example of an engine.
"""

from __future__ import annotations

from collections import deque

from nas_attn.engine import worker
from nas_attn.engine.protocol import Call, Outcome, Value
from nas_attn.errors import NasAttnError


class InlineEngine:
    """Runs calls in this process, one after the other; see `Engine`.

    If a module raises an error, only its call fails. A crash ends this process, and a call that hangs blocks it,
    because time limits are not applied here.

    Args:
        width: number of calls that are accepted before the first is run.
    """

    def __init__(self, width: int = 1) -> None:
        self._width = width
        self._calls: deque[Call] = deque()

    @property
    def free(self) -> int:
        return self._width - len(self._calls)

    def submit(self, call: Call) -> None:
        self._calls.append(call)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if not self._calls:
            return None
        call = self._calls.popleft()
        try:
            value: Value | NasAttnError = worker.checked(worker.run(call))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's module may raise anything, `SystemExit` included
            value = worker.judged(error)
        if isinstance(value, NasAttnError):
            raise value
        return Outcome(call, value)

    def __enter__(self) -> InlineEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self._calls.clear()
