"""Engines run evaluations: here in worker processes on this machine."""

from nas_attn.engine.local import LocalEngine
from nas_attn.engine.protocol import Call, Engine, Failure, Outcome
from nas_attn.engine.worker import check_outside

__all__ = ["Call", "Engine", "Failure", "LocalEngine", "Outcome", "check_outside"]
