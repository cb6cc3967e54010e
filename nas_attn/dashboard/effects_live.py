"""The dashboard's card of effects. The bootstrap runs in a separate callback, and only after a trial has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dash import Input, Output, State, dcc, html, no_update

from nas_attn.dashboard import as_dash
from nas_attn.dashboard.effects_card import TITLE, effects_blocks, importance_blocks
from nas_attn.dashboard.source import LiveStudy
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from dash import Dash

T = TypeVar("T")


class Newest(Generic[T]):
    """A slow result for the newest view: computed once per state of the study, by one thread at a time.

    Requests that waited meanwhile get the result for the newest state, so they do not queue up.

    Args:
        study: the study.
        compute: view -> result.
    """

    def __init__(self, study: LiveStudy, compute: Callable[[StudyView], T]) -> None:
        self._study, self._compute = study, compute
        self._lock = threading.Lock()
        self._known: tuple[str, T] | None = None

    def __call__(self) -> T:
        """The result for the newest view."""
        with self._lock:
            view = self._study.view()
            state = ended(view)
            if self._known is None or self._known[0] != state:
                self._known = state, self._compute(view)
            return self._known[1]


def ended(view: StudyView) -> str:
    """A text that changes if a trial ends or the slots are measured, but not if a trial begins."""
    return f"{sum(t.state != 'running' for t in view.trials)} of {view.folder}, slots {bool(view.slots)}"


def section() -> Any:
    """The empty card."""
    return html.Section(
        [
            html.H2(TITLE),
            dcc.Store(id="ended"),
            html.Div(id="effects"),
            html.Div(id="importance"),
        ],
        className="card",
    )


def connect(app: Dash, study: LiveStudy) -> None:
    """Add the callbacks that fill the card and update it after each trial."""
    effects, importance = Newest(study, effects_blocks), Newest(study, importance_blocks)

    @app.callback(
        Output("effects", "children"),
        Output("ended", "data"),
        Input("stamp", "data"),
        State("ended", "data"),
        prevent_initial_call=True,
    )
    def show(_: str, shown: str | None) -> Any:
        state = ended(study.view())
        return (no_update, no_update) if state == shown else (as_dash.render(*effects()), state)

    @app.callback(Output("importance", "children"), Input("ended", "data"), prevent_initial_call=True)
    def weigh(_: str) -> Any:
        return as_dash.render(*importance())
