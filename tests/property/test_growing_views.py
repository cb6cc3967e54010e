"""A view that grows record by record equals a view that reads all records at once, for any records."""

from __future__ import annotations

from pathlib import Path

from fabricated_studies import BASE, CONV, cost, evaluation
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_attn.ablation.design import Arm, Contrast, Design
from nas_attn.ablation.looks import Looks
from nas_attn.ablation.plan_record import plan_fields
from nas_attn.ablation.view import AblationView
from nas_attn.space import Architecture
from nas_attn.study.view import StudyView

FOLDER, SCALES = Path("x"), (None, "yolo11s.yaml", "yolo11m.yaml")
ARMS = tuple(Arm(f"base {m}", (), Architecture.parse(BASE), m) for m in SCALES[:2])
ARMS = (Arm("base", (), ARMS[0].architecture), ARMS[1], Arm("full", (), Architecture.parse(CONV)))
DESIGN = Design(ARMS, (Contrast("full", "base", (("full", 1.0), ("base", -1.0)), ("p3",)),))


@st.composite
def records(draw) -> dict:
    kind = draw(st.sampled_from(("started", "started", "finished", "finished", "refused", "slots", "target", "model")))
    number, seed = draw(st.integers(0, 9)), draw(st.integers(0, 2))
    model = draw(st.sampled_from((None, None, *SCALES[1:])))
    more = {"model": model} if model else {}
    text = draw(st.sampled_from((BASE, BASE, CONV, "p3=lska(k_size=7) p4=none p5=none")))
    if kind in ("started", "refused"):
        trial = {"kind": kind, "number": number, "role": "search", "architecture": text, "seed": seed}
        return {**trial, "cost": cost(Architecture.parse(CONV)), **more}
    if kind == "finished":
        if draw(st.booleans()):
            flags = draw(st.sampled_from(((), (), ("batch halved",))))
            found = evaluation(draw(st.sampled_from((0.1, 0.2, 0.3))), seed, flags=flags, epochs=1).as_dict()
            return {"kind": kind, "number": number, "state": "complete", "evaluation": found}
        return {"kind": kind, "number": number, "state": "failed", "reason": "x"}
    if kind == "slots":
        return {"kind": kind, "intact": 0.3, "drop": {"p3": seed / 10}, "live": [], "threshold": 0.1, **more}
    if kind == "target":
        return {"kind": kind, "trials": number}
    return {"kind": "model", "model": model or SCALES[1], "header": {"base": f"b{seed}"}}


HEADER = {"kind": "study", "name": "x", "config": {"trials": 3}, "ablation": {"name": "a", "full": CONV, "seed": 0}}
PLAN = {
    "kind": "design",
    **plan_fields(DESIGN, Looks.fixed(2)),
    "settings": {"difference": 0.01},
}


@settings(max_examples=150)
@given(st.lists(records(), max_size=30), st.integers(0, 30))
def test_grown_equals_read(log, at):
    found = [HEADER, *[r for r in log if not r.get("model") and r["kind"] != "model"]]
    view = StudyView.empty(FOLDER)
    for i, record in enumerate(found, 1):
        before, trials = view, view.trials
        view = view.grown(record)
        assert view == StudyView.of(FOLDER, found[:i])
        assert before.trials is trials  # an earlier view does not change
    assert view.candidates() == StudyView.of(FOLDER, found).candidates()
    ablated = [HEADER, *log[:at], PLAN, *log[at:]]
    whole = AblationView.of(FOLDER, [])
    for record in ablated:  # compared only at the end; the view of a study is compared after each record
        whole = whole.grown(record)
    again = AblationView.of(FOLDER, ablated)
    assert whole == again and set(whole.views) == set(again.views)
    assert whole.decisions == again.decisions and whole.left == again.left
    numbers = [t.number for t in whole.trials]
    assert numbers == sorted(set(numbers))
