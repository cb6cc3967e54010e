"""SIGTERM and SIGHUP end a command as Ctrl-C does: workers stop, locks are freed, and the same command continues.

On Windows, SIGBREAK stands for both: it comes from Ctrl-Break and from a closed window.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
INTERRUPTED = 130  # exit code of a command that was stopped


@contextlib.contextmanager
def stopping() -> Iterator[list[str]]:
    """A context in which these signals interrupt the main thread, but only once: a second one would stop the clean-up.

    A signal that is ignored stays ignored (as with nohup), and handlers of other code stay. Outside the main thread
    nothing changes. At the end the former handlers are restored.

    Yields:
        A list that receives the name of the signal.

    Raises:
        KeyboardInterrupt: a signal came; its text is the signal's name.
    """
    came: list[str] = []
    before = []
    if threading.current_thread() is threading.main_thread():
        before = [s for s in _ENDS if signal.getsignal(s) is signal.SIG_DFL]

    def stop(number: int, frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        came.append(signal.Signals(number).name)
        raise KeyboardInterrupt(came[0])

    for one in before:
        signal.signal(one, stop)
    try:
        yield came
    finally:
        for one in before:
            signal.signal(one, signal.SIG_DFL)


def say_stopped(sign: str) -> None:
    """Print on stderr that a signal stopped the command, and how to continue.

    Args:
        sign: name of the signal; empty for Ctrl-C.
    """
    how = f"stopped by {sign}" if sign else "interrupted"
    with contextlib.suppress(OSError):  # a closed terminal
        print(f"{how}; give the same command again to continue", file=sys.stderr)
