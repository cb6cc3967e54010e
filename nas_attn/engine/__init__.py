"""Engines run evaluations: here in worker processes on this machine."""

from nas_attn.engine.local import LocalEngine
from nas_attn.engine.protocol import Engine, Failure, Outcome, Task
from nas_attn.engine.worker import check_outside

__all__ = ["Engine", "Failure", "LocalEngine", "Outcome", "Task", "check_outside"]
