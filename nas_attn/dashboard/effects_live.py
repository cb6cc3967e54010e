"""The dashboard's card on effects. The bootstrap runs in a callback of its own, and only when a trial has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dash import dcc, html

from nas_attn.analysis.effects.conclusion import effects_sentence
from nas_attn.analysis.effects.estimate import effect_numbers
from nas_attn.analysis.effects.heat_map import heat_map
from nas_attn.analysis.effects.module_table import LUCK, module_table
from nas_attn.analysis.figures import PLOT_CONFIG
from nas_attn.analysis.importance.figure import importance_figure
from nas_attn.analysis.importance.numbers import importance_numbers, importance_sentence
from nas_attn.dashboard import as_dash
from nas_attn.dashboard.effects_card import BEST, CHANCE, IMPORTANCE, LONG, READING, TITLE, has_effects, has_modules
from nas_attn.dashboard.source import LiveStudy
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from dash import Dash
    from plotly.graph_objects import Figure

T = TypeVar("T")


class Newest(Generic[T]):
    """A slow answer about the newest view: computed once per state of the study, by one thread at a time.

    Whoever waited meanwhile gets the answer to the newest state, so that requests never pile up.

    Args:
        study: the study.
        compute: view -> answer.
    """

    def __init__(self, study: LiveStudy, compute: Callable[[StudyView], T]) -> None:
        self._study, self._compute = study, compute
        self._lock = threading.Lock()
        self._known: tuple[str, T] | None = None

    def __call__(self) -> T:
        """The answer."""
        with self._lock:
            view = self._study.view()
            state = ended(view)
            if self._known is None or self._known[0] != state:
                self._known = state, self._compute(view)
            return self._known[1]


def ended(view: StudyView) -> str:
    """A text that changes when a trial has ended or the slots are measured, not when one begins."""
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
    """Fill the card, and again whenever a trial has ended."""
    from dash import Input, Output, State, no_update

    effects, importance = Newest(study, effects_parts), Newest(study, importance_parts)

    @app.callback(
        Output("effects", "children"),
        Output("ended", "data"),
        Input("stamp", "data"),
        State("ended", "data"),
        prevent_initial_call=True,
    )
    def show(_: str, shown: str | None) -> Any:
        state = ended(study.view())
        return (no_update, no_update) if state == shown else (effects(), state)

    @app.callback(Output("importance", "children"), Input("ended", "data"), prevent_initial_call=True)
    def weigh(_: str) -> Any:
        return importance()


def effects_parts(view: StudyView) -> list[Any]:
    """Sentence, heat map, and each module's best and median."""
    numbers = effect_numbers(view)
    parts: list[Any] = [html.P(effects_sentence(numbers), className="answer")]
    if not has_modules(numbers):
        return parts
    if has_effects(numbers):
        parts.append(html.Div(_graph(heat_map(numbers), "effects-map"), className="scroll"))
        parts.append(html.P(READING, className="soft"))
    table = module_table(view, numbers)
    parts += [html.H3(BEST), as_dash.table(table, "modules", tall=len(table.rows) > LONG)]
    return [*parts, html.P(LUCK, className="soft")]


def importance_parts(view: StudyView) -> list[Any]:
    """Importance of slots and settings; nothing before a module was trained."""
    if not any(t.usable and not t.architecture.is_base for t in view.trials):
        return []
    numbers = importance_numbers(view)
    parts: list[Any] = [html.H3(IMPORTANCE), html.P(importance_sentence(numbers))]
    if numbers.choices:
        parts += [_graph(importance_figure(numbers), "importance-bars"), html.P(CHANCE, className="soft")]
    return parts


def _graph(figure: Figure, name: str) -> Any:
    size = {"height": f"{figure.layout.height}px"}
    fixed = figure.layout.width is not None
    if fixed:
        size["width"] = f"{figure.layout.width}px"
    config = {**PLOT_CONFIG, "displayModeBar": False, "responsive": not fixed}
    return dcc.Graph(id=name, figure=figure, config=config, style=size)
