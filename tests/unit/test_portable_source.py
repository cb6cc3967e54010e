"""Nothing in the source assumes POSIX, or a system whose language decides how text is written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nas_attn

ROOT = Path(nas_attn.__file__).parent
LACKING = {  # what Windows, or macOS, has no counterpart of
    "os": {
        "fork", "forkpty", "register_at_fork", "wait", "wait3", "wait4", "waitid", "WNOHANG", "posix_spawn",
        "getuid", "geteuid", "getgid", "getegid", "getpgid", "getpgrp", "getsid", "setsid", "setuid", "setgid",
        "setpgid", "killpg", "nice", "chown", "lchown", "fchown", "chroot", "mkfifo", "mknod", "openpty", "ttyname",
        "uname", "sysconf", "confstr", "getloadavg", "statvfs", "fstatvfs", "pread", "pwrite", "posix_fadvise",
        "memfd_create", "sched_getaffinity", "sched_setaffinity", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_SYNC",
        "O_DIRECTORY",
    },
    "signal": {
        "SIGHUP", "SIGKILL", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGSTOP", "SIGCONT",
        "SIGTSTP", "alarm", "setitimer", "pause", "pthread_sigmask", "sigwait", "siginterrupt",
    },
    "socket": {"AF_UNIX", "SO_REUSEPORT"},
    "time": {"tzset", "clock_gettime"},
}  # fmt: skip
LINUX = ROOT / "engine" / "fork_server.py"  # imported everywhere, and used where its `POSSIBLE` is true
POSIX = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}


def faults(source: str) -> Iterator[str]:
    """The lines of a module that another system cannot run, or that read text as the system's language writes it."""
    tree = ast.parse(source)
    guarded = {id(n) for branch in ast.walk(tree) if isinstance(branch, ast.If | ast.IfExp | ast.BoolOp)
               for name in _asked_for(branch) for n in ast.walk(branch) if _attribute(n) == name}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{node.lineno}: import {name}" for name in names if name in POSIX)
        if (found := _attribute(node)) and id(node) not in guarded and found[1] in LACKING.get(found[0], ()):
            yield f"{getattr(node, 'lineno', 0)}: {'.'.join(found)}"
        if isinstance(node, ast.Call) and (name := _in_the_systems_language(node)):
            yield f"{node.lineno}: {name} without an encoding"


def _attribute(node: ast.AST) -> tuple[str, str] | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id, node.attr
    return None


def _asked_for(branch: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that `hasattr(os, "getuid")` and similar calls ask for, anywhere in a branch."""
    for node in ast.walk(branch):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr":
            yield ast.unparse(node.args[0]), getattr(node.args[1], "value", "")


def _in_the_systems_language(call: ast.Call) -> str:
    """The name of a call that reads or writes text in whatever encoding the system has; empty for any other call."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    of = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    keywords = {k.arg: k.value for k in call.keywords}
    if "encoding" in keywords:
        return ""
    if name in ("read_text", "write_text"):
        return name if len(call.args) < (1 if name == "read_text" else 2) else ""
    if name in ("open", "fdopen") and (of, name) != ("os", "open"):
        path_first = name == "fdopen" or not of
        mode = call.args[path_first] if len(call.args) > path_first else keywords.get("mode")
        return name if "b" not in (ast.literal_eval(mode) if isinstance(mode, ast.Constant) else "r") else ""
    if name in ("run", "Popen", "check_output", "check_call"):
        return name if {"text", "universal_newlines"} & keywords.keys() else ""
    return ""


@pytest.mark.parametrize("path", sorted(set(ROOT.rglob("*.py")) - {LINUX}), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_takes_nothing_for_granted(path):
    assert list(faults(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    ["import fcntl", "from resource import getrusage", "os.getuid()", "x = signal.SIGHUP", "open('f')",
     "open('f', 'a')", "Path('f').open()", "p.open('w')", "p.read_text()", "p.write_text('x')", "os.fdopen(3, 'w')",
     "subprocess.run(c, text=True)", "if hasattr(os, 'getuid'):\n    os.getgid()",
     "x = 1 if hasattr(os, 'fork') else os.nice(1)"],
)  # fmt: skip
def test_what_is_taken_for_granted_is_found(line):
    assert len(list(faults(line))) == 1


@pytest.mark.parametrize(
    "line",
    ["if hasattr(os, 'getuid'):\n    os.getuid()", "x = os.getuid() if hasattr(os, 'getuid') else 0", "p.open('rb')",
     "own = not hasattr(os, 'getuid') or os.getuid() == 0", "p.read_text('utf-8')", "open('f', encoding='ascii')",
     "os.open(p, os.O_RDONLY)", "subprocess.run(c, text=True, encoding='utf-8')", "p.open('ab', buffering=0)"],
)  # fmt: skip
def test_what_is_asked_for_first_is_fine(line):
    assert list(faults(line)) == []
