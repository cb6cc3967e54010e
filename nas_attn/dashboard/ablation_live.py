"""The dashboard's cards of ablations: each follows its record log, and a click on a line shows its trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import ALL, MATCH, Input, Output, Patch, State, dcc, html, no_update

from nas_attn.dashboard.ablation_card import ABOVE_TRIALS, ablation_blocks, part, trials_blocks
from nas_attn.dashboard.as_dash import render
from nas_attn.dashboard.source import LiveAblations

if TYPE_CHECKING:
    from dash import Dash

# Marks the picked line after a click, a new table or a new list of trials, and then scrolls to its trials.
_MARK = """(picked, body, trials, identity) => {
  const card = [...document.querySelectorAll('section[data-ablation]')]
    .find(c => c.dataset.ablation === identity.ablation);
  const line = (picked && picked.line) || null;
  card.querySelectorAll('tr[data-line]').forEach(r => r.classList.toggle('picked', r.dataset.line === line));
  const asked = window.dash_clientside.callback_context.triggered_id;
  if (line && asked && asked.part === 'picked') { card.querySelector('.trials').scrollIntoView({block: 'nearest'}); }
  return window.dash_clientside.no_update;
}"""

# Runs in the browser, because a click that goes to the server is lost if the card is redrawn before the answer.
# A redrawn table also triggers this function, without a click. A click on a mark is cleared, so that the next
# one counts.
_PICK = """(rows, marks, every) => {
  const none = window.dash_clientside.no_update;
  const asked = window.dash_clientside.callback_context.triggered.find(t => t.value);
  if (!asked) { return [none, marks.map(() => none)]; }
  const {part, line} = JSON.parse(asked.prop_id.slice(0, asked.prop_id.lastIndexOf('.')));
  if (part === 'line') { return [{line}, marks.map(() => none)]; }
  if (part === 'every') { return [{}, marks.map(() => none)]; }
  const data = asked.value.points[0].customdata;
  return [data ? {line: data[0]} : none, marks.map(() => null)];
}"""


def section() -> Any:
    """The empty container of the cards."""
    return html.Div([dcc.Store(id="ablation-stamp"), dcc.Store(id="ablation-keys"), html.Div([], id="ablations")])


def connect(app: Dash, ablations: LiveAblations) -> None:
    """Add the callbacks that fill the cards and update them if their logs grow."""

    @app.callback(Output("ablation-stamp", "data"), Input("tick", "n_intervals"), State("ablation-stamp", "data"))
    def follow(_: int | None, shown: str | None) -> Any:
        stamp = ablations.stamp()
        return no_update if stamp == shown else stamp

    @app.callback(
        Output("ablations", "children"),
        Output("ablation-keys", "data"),
        Input("ablation-stamp", "data"),
        State("ablation-keys", "data"),
        prevent_initial_call=True,
    )
    def frames(_: str, shown: list[str] | None) -> Any:
        keys, shown = [c.key for c in ablations.cards()], shown or []
        # existing cards stay when others are added, so that they keep the picked line and the scroll position
        if keys == shown:
            return no_update, no_update
        if keys[: len(shown)] != shown:
            return [frame(k) for k in keys], keys
        more = Patch()
        more.extend([frame(k) for k in keys[len(shown) :]])
        return more, keys

    @app.callback(
        Output(part(MATCH, "body"), "children"),
        Output(part(MATCH, "drawn"), "data"),
        Input("ablation-stamp", "data"),
        State(part(MATCH, "drawn"), "data"),
        State(part(MATCH, "body"), "id"),
    )
    def body(_: str, drawn: str | None, identity: dict[str, str]) -> Any:
        card = ablations.card(identity["ablation"])
        # a redraw without a change would only disturb the reader
        if card is None or card.state == drawn:
            return no_update, no_update
        return render(*ablation_blocks(card)), card.state

    app.clientside_callback(
        _PICK,
        Output(part(MATCH, "picked"), "data"),
        Output(part(MATCH, "forest", at=ALL), "clickData"),
        Input(part(MATCH, "line", line=ALL), "n_clicks"),
        Input(part(MATCH, "forest", at=ALL), "clickData"),
        Input(part(MATCH, "every", at=ALL), "n_clicks"),
        prevent_initial_call=True,
    )

    app.clientside_callback(
        _MARK,
        Output(part(MATCH, "marked"), "data"),
        Input(part(MATCH, "picked"), "data"),
        Input(part(MATCH, "body"), "children"),
        Input(part(MATCH, "trials"), "children"),
        State(part(MATCH, "trials"), "id"),
    )

    @app.callback(
        Output(part(MATCH, "trials"), "children"),
        Input(part(MATCH, "picked"), "data"),
        Input("ablation-stamp", "data"),
        State(part(MATCH, "trials"), "id"),
    )
    def trials(picked: dict[str, Any] | None, _: str, identity: dict[str, str]) -> Any:
        card = ablations.card(identity["ablation"])
        if card is None:
            return no_update
        return render(*trials_blocks(card, picked.get("line") if picked else None))


def frame(key: str) -> Any:
    """An ablation's empty card."""
    return html.Section(
        [
            dcc.Store(id=part(key, "drawn")),
            dcc.Store(id=part(key, "picked")),
            dcc.Store(id=part(key, "marked")),
            html.Div(id=part(key, "body")),
            *render(*ABOVE_TRIALS),
            html.Div(id=part(key, "trials"), className="trials"),
        ],
        className="card",
        **{"data-ablation": key},
    )
