"""Engines run evaluations: in worker processes on this machine, or in this process."""

from nas_attn.engine.inline import InlineEngine
from nas_attn.engine.local import LocalEngine
from nas_attn.engine.protocol import Call, Engine, Failure, Outcome, awaited, check_engine
from nas_attn.engine.worker import check_outside

__all__ = [
    "Call",
    "Engine",
    "Failure",
    "InlineEngine",
    "LocalEngine",
    "Outcome",
    "awaited",
    "check_engine",
    "check_outside",
]
