"""The style of all figures as one plotly template: fonts, colours, grid and hover box."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects.layout import Template

# for every figure: no button may upload a study to a cloud service
PLOT_CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "plotlyServerURL": "",
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d"],
}
INK, SOFT, GREY, GRID = "#1f2933", "#52606d", "#7b8794", "#e4e7eb"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
# the palette of Okabe and Ito, without yellow, which is hard to see on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#6b4c9a", "#8c6d1f")


@cache
def template() -> Template:
    """Plotly's template `plotly_white` with the fonts and colours of this project."""
    import plotly.graph_objects as go
    import plotly.io as pio

    axis = {"gridcolor": GRID, "showgrid": True, "zeroline": False, "linecolor": GREY}
    found = go.layout.Template(pio.templates["plotly_white"])
    found.layout.update(
        font={"family": FONT, "size": 13, "color": INK},
        hoverlabel={
            "bgcolor": "white",
            "bordercolor": GREY,
            "font": {"family": FONT, "size": 12, "color": INK},
            "align": "left",
        },
        xaxis=axis,
        yaxis=axis,
    )
    return found
