"""SIGTERM and SIGHUP as an interrupt: only once, restored afterwards, and only if no other code handles them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from nas_attn.stopping import stopping

if sys.platform == "win32":
    pytest.skip("on Windows a signal that is sent ends the process at once", allow_module_level=True)
SIGNALS = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def as_in_a_terminal():
    """Default handlers for the signals, because `nohup` ignores them in some test runs."""
    before = [signal.signal(s, signal.SIG_DFL) for s in SIGNALS]
    yield
    for sign, handler in zip(SIGNALS, before, strict=True):
        signal.signal(sign, handler)


@pytest.mark.parametrize("sign", SIGNALS)
def test_a_signal_interrupts_once_and_handlers_are_put_back(sign):
    before = [signal.getsignal(s) for s in SIGNALS]
    with pytest.raises(KeyboardInterrupt, match=sign.name), stopping() as came:
        try:
            os.kill(os.getpid(), sign)
        finally:
            for other in SIGNALS:  # workers are being stopped: nothing may break that off
                os.kill(os.getpid(), other)
    assert came == [sign.name] and [signal.getsignal(s) for s in SIGNALS] == before


@pytest.mark.parametrize("theirs", [signal.SIG_IGN, lambda *_: None])
def test_what_others_decided_stays(theirs):
    before = signal.signal(signal.SIGHUP, theirs)
    try:
        with stopping() as came:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not came and signal.getsignal(signal.SIGHUP) is theirs
    finally:
        signal.signal(signal.SIGHUP, before)


def test_one_within_another_changes_nothing():
    with stopping():
        outer = signal.getsignal(signal.SIGTERM)
        with stopping():
            assert signal.getsignal(signal.SIGTERM) is outer
        assert signal.getsignal(signal.SIGTERM) is outer


def test_another_thread_has_no_signals():
    found = []

    def work() -> None:
        with stopping() as came:
            found.append(came)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [[]]


@pytest.mark.parametrize("sign", SIGNALS)
def test_a_command_says_how_it_was_stopped_and_what_to_do(sign):
    program = (
        "import os, sys\n"
        "from nas_attn.cli import app\n"
        f"app.app = lambda *_, **__: os.kill(os.getpid(), {int(sign)})\n"
        "sys.exit(app.run([]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130 and not done.stdout
    assert done.stderr == f"stopped by {sign.name}; give the same command again to continue\n"


@pytest.mark.parametrize("sign", [*SIGNALS, signal.SIGINT])
@pytest.mark.parametrize(
    "entry", ["from nas_attn.__main__ import main; main()", "runpy.run_module('nas_attn', None, '__main__')"]
)
def test_a_signal_while_the_command_is_imported_is_said_too(sign, entry):
    program = (
        "import os, runpy, sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'nas_attn.cli.app': os.kill(os.getpid(), {int(sign)})\n"
        "sys.meta_path.insert(0, Slow())\n"
        f"{entry}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    how = "interrupted" if sign is signal.SIGINT else f"stopped by {sign.name}"
    assert done.returncode == 130 and not done.stdout
    assert done.stderr == f"{how}; give the same command again to continue\n"
