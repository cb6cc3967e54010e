"""Makes the request of an `ablate` command, from the study, its `ablation` block, earlier runs and the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.ablation.plan.seeds import first_seed, is_fresh, spent
from nas_attn.ablation.view import DEFAULT_NAME, EARLIER, FOLDER, FRESH, AblationView
from nas_attn.analysis.front import pick, sentence
from nas_attn.errors import UserError
from nas_attn.evaluate.score import MAP50_95, Score
from nas_attn.folder_names import is_kept
from nas_attn.space import NONE, Architecture
from nas_attn.study.ablation_config import DEFAULT_KINDS, FIRST_KINDS, AblationConfig
from nas_attn.study.config import StudyConfig
from nas_attn.study.config_sources import load_config, study_name
from nas_attn.study.records import RecordLog
from nas_attn.study.view import StudyView

FIDELITY = ("epochs", "imgsz", "fraction", "batch")  # options in which an ablation may differ from its study
LONGEST_NAME = 100  # of a folder, with room for the suffix of a file beside it


@dataclass(frozen=True)
class Request:
    """An ablation that a command asks for, before the data is read.

    Attributes:
        name: the ablation's own name.
        folder: its folder.
        study: the study; None if it was not searched.
        config: the study's configuration, with the fidelity of the ablation.
        settings: the ablation's settings.
        full: the full architecture as text; settings of modules may be missing.
        seed: its first seed.
        stored: the recorded header, if an ablation with this name exists; None for a new one.
        named: kinds that this command names; it is an error if one of them is not possible.
        fresh: True if no search and no other ablation had used its seeds when they were chosen.
        notes: notes on options that could not be followed.
    """

    name: str
    folder: Path
    study: StudyView | None
    config: StudyConfig
    settings: AblationConfig
    full: str
    seed: int
    stored: dict[str, Any] | None
    named: tuple[str, ...] = ()
    fresh: bool = True
    notes: tuple[str, ...] = ()


def load_request(
    study: str | None, given: Mapping[str, Any], options: Mapping[str, Any], *, runs: Path, name: str | None = None
) -> Request:
    """The request of one command.

    Args:
        study: name of a study, path of a study YAML, or None.
        given: fields of `AblationConfig` that were given.
        options: fields of `StudyConfig` that were given.
        runs: the folder of all run folders.
        name: name of the ablation.

    Raises:
        UserError: there is nothing to ablate, or two options contradict each other.
    """
    folder = runs / study_name(study, options.get("data"))
    searched = StudyView.read(folder) if (folder / "records.jsonl").exists() else None
    own = folder / FOLDER / _checked(name or DEFAULT_NAME)
    records = list(RecordLog(own).read())
    stored = records[0] if records and records[0]["kind"] == "study" else None
    before: dict[str, Any] = next((dict(r["settings"]) for r in reversed(records) if r["kind"] == "design"), {})
    for told in (EARLIER, FRESH):  # recorded with the settings, but no settings
        before.pop(told, None)
    wanted = _inserted(given)
    values = dict(options)
    if searched is None and stored is None and "slots" not in values and wanted:
        values["slots"] = wanted  # without a study, the architecture defines the slots
    base = searched.header if searched is not None else stored
    config = load_config(study, values, base).model_copy(update={"storage": None})  # the storage belongs to a search
    _check_given(given)
    notes: list[str] = []
    settings = _merged(config, before, given, any(r["kind"] == "started" for r in records), notes)
    if stored is not None:  # its trials keep their fidelity
        kept = {k: stored["config"][k] for k in FIDELITY}
        if options.get("score") is None:  # it may differ from that of the study
            kept["score"] = stored["config"].get("score", MAP50_95)
        config = config.model_copy(update={**kept, **{k: given[k] for k in FIDELITY if given.get(k) is not None}})
    else:
        config = config.model_copy(update={k: v for k in FIDELITY if (v := getattr(settings, k)) is not None})
    if searched is not None and (by := Score(config.score)) != searched.searched_by:
        notes.append(f"the ablation compares {by.words}; the search was by {searched.searched_by.words}")
    if given.get("scales") is not None and "scale" not in settings.asked_kinds:
        got = ", ".join(settings.asked_kinds)
        raise UserError("`--scales` needs the kind `scale`", got=got, where="--kinds")
    others = spent(searched, folder, own)
    seed = first_seed(others, config, settings, stored, given)
    view = AblationView.of(own, records) if stored is not None else None
    full = _full(searched, settings, stored, given, notes)
    return Request(
        name=own.name,
        folder=own,
        study=searched,
        config=config,
        settings=settings,
        full=full,
        seed=seed,
        stored=stored,
        named=(*(given.get("kinds") or ()), *(("scale",) if given.get("scales") else ())),
        fresh=is_fresh(others, settings, seed, view),
        notes=tuple(notes),
    )


def _check_given(given: Mapping[str, Any]) -> None:
    """Refuse two options that contradict each other.

    Raises:
        UserError: the first such pair.
    """
    said = {k for k, v in given.items() if v is not None}
    for one, others, why in (
        ("seeds", ("hours", "max_seeds"), "the number of seeds is either fixed, or results decide it"),
        ("pick", ("base",), "the architecture comes either from the study or from --base"),
    ):
        for other in others:
            if {one, other} <= said:
                rule = f"`--{one}` and `--{other.replace('_', '-')}` must not be given together"
                raise UserError(rule, got="both", where="the command line", remedy=f"Leave out one of them: {why}.")


def _merged(
    config: StudyConfig, before: Mapping[str, Any], given: Mapping[str, Any], begun: bool, notes: list[str]
) -> AblationConfig:
    """The settings from the study's block, the last command and this command; a later source overrides an earlier one.

    After training has begun, a command can add comparisons but not remove them, because they belong to a family.
    """
    values: dict[str, Any] = config.ablation.model_dump() if config.ablation is not None else {}
    values |= before
    if begun and values.get("kinds") is None:
        values["kinds"] = list(FIRST_KINDS)
    said = {k: v for k, v in given.items() if v is not None}
    if "seeds" in said and not {"hours", "max_seeds"} & said.keys():
        values |= {"hours": None, "max_seeds": None}  # a number of seeds ends sequential testing
    if {"base", "pick"} & said.keys():
        values |= {"base": None, "pick": None}
    for name, default in (("kinds", DEFAULT_KINDS), ("arms", ()), ("scales", None)) if begun else ():
        if name in said and (old := values.get(name) if values.get(name) is not None else default) is not None:
            if kept := [x for x in old if x not in said[name]]:
                notes.append(f"these {name} were compared before and stay: {', '.join(kept)}")
            said[name] = list(dict.fromkeys((*old, *said[name])))
    if begun and values.get("controls") and said.get("controls") is False:
        notes.append("the controls were compared before and stay")
        said["controls"] = True
    if begun and values.get("dead_slots") == "keep" and said.get("dead_slots") == "skip":
        notes.append("comparisons on dead slots were trained before and stay")
        said["dead_slots"] = "keep"
    checked = StudyConfig.of({**config.model_dump(), "ablation": {**values, **said}}, where="the command line")
    assert checked.ablation is not None
    found = checked.ablation
    chosen = {"dead_slots": found.dead_slots or config.dead_slots, "kinds": list(found.asked_kinds)}
    return found.model_copy(update=chosen)  # written out, so that another release continues with the same


def _full(
    searched: StudyView | None,
    settings: AblationConfig,
    stored: dict[str, Any] | None,
    given: Mapping[str, Any],
    notes: list[str],
) -> str:
    """The full architecture as text; a note says how sure the study is of a pick."""
    named = given.get("base") is not None or given.get("pick") is not None
    if stored is not None and not named:
        return str(stored["ablation"]["full"])
    if settings.base is not None:
        return settings.base
    if searched is None:
        raise UserError(
            "an ablation must have an architecture",
            got="no searched study and no --base",
            remedy='Give --base "p3=... p4=...", or run `python -m nas_attn search` first.',
        )
    picked = pick(searched, settings.pick or "best")
    found = picked.candidate.architecture
    if found.is_base:
        raise UserError(
            "an ablation must have an architecture with attention",
            got=f"the unchanged base: it is the pick `{settings.pick or 'best'}` of study '{searched.name}'",
            remedy='Pick another architecture with --pick knee, --pick trial:N or --base "p3=...".',
        )
    notes.append(sentence(picked))
    return str(found)


def _inserted(values: Mapping[str, Any]) -> list[str]:
    """The names of the slots that the given architectures fill, in order."""
    texts = [t for t in (values.get("base"), *(values.get("arms") or ())) if t]
    found = (slot for text in texts for slot, gene in Architecture.parse(text) if gene != NONE)
    return list(dict.fromkeys(found))


def _checked(name: str) -> str:
    wrong = any(c in name for c in '/\\ \n:*?"<>|') or is_kept(name)
    if not name or name.strip(".") != name or wrong or len(name) > LONGEST_NAME:
        rule = f"`--name` must be one word of at most {LONGEST_NAME} characters, because it names a folder"
        raise UserError(rule, got=f"'{name}'")
    return name
