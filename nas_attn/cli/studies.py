"""`list`: the studies in a folder, with their state."""

from __future__ import annotations

import json

from nas_attn.cli.options import RUNS_DEFAULT, Json, Runs, Score

NAME = "list"
EXAMPLES = """
nas-attn list
nas-attn list --runs elsewhere
"""


def command(score: Score = None, runs: Runs = RUNS_DEFAULT, as_json: Json = False) -> None:
    """List the studies with their state and their best."""
    from nas_attn.api import studies
    from nas_attn.cli.tables import stdout

    found = studies(runs, score=score)
    if as_json:
        print(json.dumps(found.records, indent=1))
    else:
        stdout().print(found.note or found)
