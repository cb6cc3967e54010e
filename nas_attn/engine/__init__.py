"""Where evaluations run: worker processes on this machine."""

from nas_attn.engine.local import LocalEngine
from nas_attn.engine.protocol import Engine, Failure, Outcome, Task

__all__ = ["Engine", "Failure", "LocalEngine", "Outcome", "Task"]
