"""The pages of a study: cards as values (`blocks`), rendered as HTML (report) and with Dash (live page)."""
