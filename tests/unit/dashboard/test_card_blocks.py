"""Both renderers show the same: the report escapes text, the live page reacts to clicks."""

from __future__ import annotations

from html import unescape

from fabricated_studies import HOSTILE
from plotly.graph_objects import Figure

from nas_attn.analysis.tables import Table
from nas_attn.dashboard import as_dash, as_html
from nas_attn.dashboard.blocks import Plot, Row, card, details, element, facts, table, text

ROWS = Table(("architecture", "remark"), (("p3=a(k=1,r=2) p4=none", HOSTILE), ("p3=none p4=none", "")), ("x", None))


def written(component) -> str:
    """The tags, classes and texts of a Dash component, as HTML."""
    if isinstance(component, str):
        return component
    kind = f' class="{component.className}"' if hasattr(component, "className") else ""
    tag, inner = type(component).__name__.lower(), "".join(map(written, component.children))
    return f"<{tag}{kind}>{inner}</{tag}>"


def test_the_report_and_the_live_page_say_the_same():
    block = card(
        "Title", text(HOSTILE, "answer"), facts([("<a>", "&")]), details("more", table(ROWS, rows=[Row(), Row()]))
    )
    html = as_html.render(block)
    assert HOSTILE not in html and "<a>" not in html
    (component,) = as_dash.render(block)
    assert unescape(html).replace("<wbr>", "\u200b") == written(component)


def test_a_row_about_a_candidate_leads_to_it():
    assert as_html.render(table(ROWS)).count("data-key") == 1
    first, second = as_dash.render(table(ROWS, "front"))[0].children[0].children[1].children
    assert first.id == {"kind": "front", "row": 0, "key": "x"} and first.n_clicks == 0
    assert not hasattr(second, "id")


def test_a_plot_that_may_be_wider_than_its_card_scrolls():
    narrow, fixed, wide = Figure(), Figure(layout={"width": 900}), Figure()
    blocks = [Plot(narrow, "a"), Plot(fixed, "b"), Plot(wide, "c", min_width=760, live={"part": "forest"})]
    assert [as_html.render(b).startswith('<div class="scroll">') for b in blocks] == [False, True, True]
    plain, scrolled, forest = as_dash.render(*blocks)
    assert plain.id == "a" and scrolled.className == "scroll" and forest.children.id == {"part": "forest"}
    assert [b.config["responsive"] for b in blocks] == [True, False, True]
    assert as_html.render(element("p", "a", kind="soft", id="b")) == '<p class="soft" id="b">a</p>'
