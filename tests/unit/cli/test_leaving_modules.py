"""Modules that call `sys.exit` while they are built or counted: the command prints a message, not nothing."""

from __future__ import annotations

import pytest
from broken_modules import Plain

from nas_attn.attention import registry, table
from nas_attn.cli import app
from nas_attn.cost.counter import gene_cost
from nas_attn.errors import UserError
from nas_attn.space import Gene


class LeavesBuilt(Plain):
    """A module that ends the process when it is built."""

    def __init__(self, dim: int, k_size: int = 3) -> None:
        raise SystemExit(4)


class LeavesCalled(Plain):
    """A module that ends the process when it is called."""

    def forward(self, x):
        raise SystemExit("no more")


@pytest.mark.parametrize(("cls", "said"), [(LeavesBuilt, "SystemExit: 4"), (LeavesCalled, "SystemExit: no more")])
def test_a_module_that_leaves_is_refused(monkeypatch, cls, said):
    entry = registry.ModuleEntry("leaves", cls, "own", "", (registry.RESIDUAL,))
    monkeypatch.setitem(table.TABLE, "leaves", entry)
    with pytest.raises(UserError, match=f"must not end the process, but got {said} .in `leaves` at 16 channels"):
        gene_cost(Gene("leaves"), 16, 8, 8)


def test_a_command_that_is_left_says_so(monkeypatch, capsys):
    def leave(*_, **__):
        raise SystemExit(0)

    monkeypatch.setattr(app, "app", leave)
    assert app.run([]) == 1
    assert capsys.readouterr().err == "error: a module or a library ended the command (SystemExit: 0)\n"
