"""`search`: trains controls and sampled architectures, and shows the Pareto front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from nas_attn.cli.fields import FieldOptions, with_fields
from nas_attn.cli.options import RUNS_DEFAULT, Json, Runs, Study, Trust
from nas_attn.environment import shell_word
from nas_attn.study.config import StudyConfig

NAME = "search"
OFFERED = (
    *("trials", "data", "model", "weights", "start", "space", "slots", "modules", "sampler"),
    *("epochs", "imgsz", "final_imgsz", "fraction", "batch", "dead_slots", "max_gmacs", "max_params"),
    *("storage", "device", "jobs", "hours", "trial_minutes", "seed"),
)


@with_fields
def command(
    study: Study = None,
    *,
    given: Annotated[dict[str, Any], FieldOptions(StudyConfig, OFFERED)],
    runs: Runs = RUNS_DEFAULT,
    as_json: Json = False,
    trust: Trust = False,
) -> int:
    """Search attention modules for a neck. Run it again to continue, or with more --trials to extend it."""
    from nas_attn.cli.progress import Reporter
    from nas_attn.study import run_search

    with Reporter() as reporter:
        view = run_search(study, runs=runs, observer=reporter, progress=reporter.preparing, **given)
    if as_json:
        print(json.dumps(summary(view), indent=1))
    else:
        _show(view)
    return 0


def summary(view: Any) -> dict[str, Any]:
    """The study as one JSON-ready object: `study`, `front` (candidates) and `trials`."""
    from nas_attn.analysis.front import front

    return {
        "study": {"name": view.name, "folder": str(view.folder), "base": view.header["base"], "slots": view.slots},
        "front": [
            {
                "architecture": str(c.architecture),
                "map50_95": c.score,
                "mean": c.mean,
                "sd": c.sd,
                "delta": c.delta,
                "seeds": list(c.seeds),
                **c.cost,
            }
            for c in front(view)
        ],
        "trials": [
            {
                "number": t.number,
                "architecture": str(t.architecture),
                "seed": t.seed,
                "map50_95": t.map50_95,
                "gmacs": t.cost.get("gmacs"),
                "params_m": t.cost.get("params_m"),
                "state": t.state,
            }
            for t in view.trials
        ],
    }


def _show(view: Any) -> None:
    from nas_attn.analysis.noise import noise_words
    from nas_attn.cli.tables import front_table, liveness_table, stdout

    out = stdout()
    if view.slots:
        out.print(liveness_table(view))
    out.print(front_table(view))
    out.print(noise_words(view), soft_wrap=True)
    if view.header["config"]["demo"]:
        out.print("This was the demo on generated data: its ranking does not carry over to real data.", soft_wrap=True)
    folder = Path(view.folder)
    name = folder.name  # of the folder, not of its records: a copied folder is another study
    where = "" if folder.parent == RUNS_DEFAULT else f" --runs {shell_word(folder.parent)}"
    word = "" if name == "demo" else f" {shell_word(name)}"
    out.print(
        f"Everything lies in {folder}\n"
        f"  report     python -m nas_attn report{word}{where} -o report.html\n"
        f"  dashboard  python -m nas_attn dashboard{word}{where}\n"
        f"  export     python -m nas_attn export{word}{where} --pick knee -o best.yaml\n"
        f"  ablate     python -m nas_attn ablate{word or ' demo'}{where} --plan",
        soft_wrap=True,
        highlight=False,
    )
