"""The live page: it follows a running study and shows the clicked candidate. It reads records and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.analysis.figures import pareto_figure, pareto_numbers
from nas_attn.analysis.noise import noise_words
from nas_attn.analysis.tables import front_table, newest_first, trials_table
from nas_attn.dashboard.blocks import table
from nas_attn.dashboard.candidate_card import candidate_blocks, picks_blocks
from nas_attn.dashboard.source import LiveAblations, LiveStudy, load_shown
from nas_attn.dashboard.style import CSS
from nas_attn.study.view import Candidate

if TYPE_CHECKING:
    from dash import Dash

NEWEST = 200  # trials in the list; the report lists all
_INDEX = """<!doctype html>
<html lang="en"><head>{%metas%}<title>{%title%}</title><link rel="icon" href="data:,">{%css%}<style>STYLE</style></head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>"""

# Dash stores the zoom in its figure, so plotly's `uirevision` does not see that the user has set it
_KEEP_ZOOM = """(drawn, shown) => {
  if (!drawn) { return window.dash_clientside.no_update; }
  const layout = {...drawn.layout};
  for (const axis of ['xaxis', 'yaxis']) {
    const old = shown && shown.layout && shown.layout[axis];
    if (old && old.autorange === false && old.range) {
      layout[axis] = {...layout[axis], range: old.range, autorange: false};
    }
  }
  return {...drawn, layout};
}"""

# Runs in the browser, because a click that goes to the server is lost if a table is redrawn before the answer.
# A redrawn table also triggers this function, without a click. A click on a point is cleared, so that the next one
# counts.
_PICK = """() => {
  const none = window.dash_clientside.no_update;
  const asked = window.dash_clientside.callback_context.triggered.find(t => t.value);
  if (!asked) { return [none, none]; }
  const at = asked.prop_id.lastIndexOf('.');
  if (asked.prop_id.slice(at) === '.n_clicks') { return [JSON.parse(asked.prop_id.slice(0, at)).key, none]; }
  const data = asked.value.points[0].customdata;
  return [data ? data[0] : none, null];
}"""


def build_app(folder: Path, yaml_of: Callable[[Candidate], str] | None = None) -> Dash:
    """The Dash app of one run folder.

    Args:
        folder: the run folder; it is only read.
        yaml_of: returns the model YAML of a candidate. The caller gives it, because it needs the detector package.

    Raises:
        UserError: the folder holds no study and no ablation.
    """
    import dash
    import pandas  # noqa: F401  before the threads start: plotly fails on a half-imported pandas

    from nas_attn.dashboard import ablation_live, effects_live, live_page

    shown = load_shown(folder)
    ablations = LiveAblations(folder)
    app = dash.Dash(
        "nas_attn.dashboard",
        title=f"nas_attn: {shown.name}",
        update_title="",
        serve_locally=True,
        assets_folder=str(Path(__file__).parent / "assets"),
        index_string=_INDEX.replace("STYLE", CSS),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        suppress_callback_exceptions=True,  # callbacks name rows that do not exist at start
    )
    ablation_live.connect(app, ablations)
    if not shown.searched:
        app.layout = lambda: live_page.ablation_page(shown.name, ablation_live.section())
        return app
    study = LiveStudy(folder)

    def layout() -> Any:
        view = study.view()
        return live_page.study_page(view.name, view.score, ablation_live.section(), effects_live.section())

    app.layout = layout
    _connect(app, study, yaml_of)
    effects_live.connect(app, study)
    return app


def _connect(app: Dash, study: LiveStudy, yaml_of: Callable[[Candidate], str] | None) -> None:
    from dash import ALL, Input, Output, State, no_update

    from nas_attn.dashboard.as_dash import render
    from nas_attn.dashboard.live_page import progress

    @app.callback(Output("stamp", "data"), Input("tick", "n_intervals"), State("stamp", "data"))
    def follow(_: int | None, shown: str | None) -> Any:
        stamp = study.stamp()
        return no_update if stamp == shown else stamp

    @app.callback(
        Output("progress", "children"),
        Output("drawn", "data"),
        Output("noise", "children"),
        Output("picks", "children"),
        Output("front", "children"),
        Output("trials", "children"),
        Input("stamp", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: str) -> tuple[Any, ...]:
        view = study.view()
        return (
            progress(view),
            pareto_figure(pareto_numbers(view)).to_plotly_json(),
            noise_words(view),
            render(*picks_blocks(view)),
            render(table(front_table(view), "front")),
            render(table(newest_first(trials_table(view), NEWEST), "trials", tall=True)),
        )

    app.clientside_callback(_KEEP_ZOOM, Output("pareto", "figure"), Input("drawn", "data"), State("pareto", "figure"))

    app.clientside_callback(
        _PICK,
        Output("picked", "data"),
        Output("pareto", "clickData"),
        Input("pareto", "clickData"),
        Input({"kind": ALL, "row": ALL, "key": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("candidate", "children"),
        Output("shown", "data"),
        Input("picked", "data"),
        Input("stamp", "data"),
        State("shown", "data"),
    )
    def show(key: str | None, _: str | None, shown: str | None) -> Any:
        candidate = study.candidate(key)
        state = f"{key}: {[(t.number, t.state) for t in candidate.trials] if candidate else ''}"
        if state == shown:  # an update of other candidates must not disturb the reader
            return no_update, no_update
        return render(*candidate_blocks(study.view(), candidate, yaml_of)), state
