"""Pages of a study: cards as values (`blocks`), rendered as HTML for the report and as Dash for the live page."""
