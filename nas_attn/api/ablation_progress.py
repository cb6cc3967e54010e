"""Progress of a running ablation: a line per trial and a bar, on stderr in a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from nas_attn.ablation.decide import DEAD
from nas_attn.ablation.view import AblationView
from nas_attn.api.progress import Bar, worth
from nas_attn.lines import many
from nas_attn.pulse import Reached
from nas_attn.study.slot_states import learned, too_little
from nas_attn.study.trial_settings import trained_with
from nas_attn.study.view import Trial


class AblationReporter(Bar):
    """The default observer of `ablate`: it prints each event."""

    def opened(self, view: AblationView) -> None:
        """Print the architecture, the seeds and the fidelity, and start the clock of the ETA."""
        self._begin(_ended(view))
        config, own = view.header["config"], view.header["ablation"]
        self._say(f"{view.header['name']}: {own['full']} on {view.header['base']}; files in {view.folder}")
        seeds = view.looks.seeds
        how = f"tested after {', '.join(map(str, seeds))} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds"
        arms = len(view.design.arms)
        trained = f"{many(config['epochs'], 'epoch')} at {config['imgsz']} px from {config['start']}"
        self._say(f"  {arms} arms, {how} from seed {own['seed']} on, {trained_with(trained, config)}")
        for text in view.header.get("notes", ()):
            self.note(text)
        if self._pace.before:
            self._say(f"  continuing after {self._pace.before} trials")
        self._move(self._pace.before, _total(view), "", "ablating")

    def progress(self, view: AblationView, places: Mapping[int, Reached]) -> None:
        """Show what is trained, and when all will have ended."""
        self._tick(_ended(view), _total(view), places)

    def finished(self, view: AblationView, trial: Trial) -> None:
        """Print the trial's line and move the bar."""
        place = view.place(trial)
        name = place[0].name if place is not None else trial.role
        if trial.state == "failed" or trial.evaluation is None:
            text = f"failed: {trial.reason}"
        else:
            delta = f"{trial.delta:+.4f}" if trial.delta is not None else "       "
            flags = f"  [{', '.join(trial.evaluation.flags)}]" if trial.evaluation.flags else ""
            value = "no score" if trial.score is None else f"{trial.score:.4f}"
            text = f"{trial.scored_by.words} {value} {delta}  {trial.evaluation.seconds:5.1f} s{flags}"
        self._say(f"{trial.number:4d}  seed {trial.seed}  {text}  {name}")
        self._move(_ended(view), _total(view), _decided(view), "ablating")

    def slots(self, view: AblationView, model: str | None) -> None:
        """Print the liveness of each slot, and the comparisons that are left out."""
        record = view.views[model].slots
        where = f" on {model}" if model else ""
        if record["drop"] and not learned(record):
            self._say(f"  liveness of slots{where} not measured: {too_little(record, view.score)}")
            return
        for name, drop in record["drop"].items():
            self._say(f"  {name}{where}: {worth(drop, record, view.score)}")
        dead = [d.contrast.label for d in view.decisions if d.verdict == DEAD]
        if dead:
            why = "they differ only in dead slots; --dead-slots keep trains them"
            self._say(f"  left out ({why}): {', '.join(dead)}")


def _ended(view: AblationView) -> int:
    return sum(t.state in ("complete", "failed") for t in view.trials)


def _total(view: AblationView) -> int:
    return _ended(view) + len(view.left)


def _decided(view: AblationView) -> str:
    decided = sum(d.final for d in view.decisions)
    return f"{decided} of {len(view.decisions)} comparisons decided"
