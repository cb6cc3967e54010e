"""The configuration that `search STUDY --option ...` means.

Its values come from three sources: the study (shipped, or a file), the command line, and the records of earlier runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nas_attn import folder_names
from nas_attn.atomic_files import is_file
from nas_attn.data.named_sets import meant
from nas_attn.detector.model.shipped_models import is_named
from nas_attn.environment import shell_word
from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.study import shipped
from nas_attn.study.config import DEFAULT, StudyConfig
from nas_attn.study.records import RecordLog
from nas_attn.study.storage_url import VARIABLE

COMMAND_LINE = "the command line"
SHIPPED = "shipped"
FILES = ("module_files", "layers")  # lists of Python files
PATHS = ("data", "weights", "space", "model")  # in a study file, they are relative to its folder


@dataclass(frozen=True)
class StudyFile:
    """The study that `STUDY --data D` means: its name and the content of its YAML. The YAML is read once.

    Attributes:
        study: a shipped study's name, a path to a study YAML, or a new name; None for the embedded default.
        data: `--data`, if it was given.
    """

    study: str | None
    data: str | None = None

    @cached_property
    def name(self) -> str:
        """The name of the run folder.

        For a study file, it is the `name` in it, or the name of the file. Otherwise it is STUDY itself. Without STUDY,
        it is the name of the folder of the data, the name under which Ultralytics ships the data, or the default.

        Raises:
            UserError: a folder cannot have this name, or the study file cannot be read.
        """
        if self.study is None:
            if not self.data:
                return DEFAULT
            kept = Path(meant(self.data, Path.cwd()))
            place = kept.parent.name if kept.is_absolute() else kept.stem
            name = folder_names.folder_name(place)
            # data that has the name of a shipped study must not get the settings of that study
            return f"{name}-data" if name in shipped.names("studies") or folder_names.is_kept(name) else name or "data"
        if len(os.fsencode(Path(self.study).name)) > folder_names.LONGEST or "\0" in self.study:
            raise UserError(f"a study's name must have at most {folder_names.LONGEST} bytes", got=f"'{self.study}'")
        if self._written is not None:
            return folder_names.usual(str(self._written.get("name", Path(self.study).stem)))
        return folder_names.usual(self.study) if Path(self.study).name == self.study else self.study

    @property
    def path(self) -> str | None:
        """STUDY if it is the path of a study file, else None."""
        return self.study if self.study is not None and _is_file(self.study) else None

    @property
    def source(self) -> str:
        """The path of the study file, or `shipped`; an empty string for a new name."""
        if self.path is not None:
            return str(Path(self.path).resolve())
        return SHIPPED if (self.study is None and self.data is None) or self.study in shipped.names("studies") else ""

    @cached_property
    def _written(self) -> dict[str, Any] | None:
        return None if self.path is None else _read(self.path)

    def content(self, *, new: bool = False) -> dict[str, Any]:
        """The content of the study's YAML, with absolute paths and with `name`.

        Args:
            new: True if the run folder holds no study yet. A new study without data gets the settings of the demo.

        Raises:
            UserError: a folder cannot have the name of the study, or the study file cannot be read.
        """
        name = self.name
        if self._written is not None:
            content = dict(self._written)
            folder = Path(self.source).parent
            for key in PATHS:
                if isinstance(given := content.get(key), str):
                    content[key] = _place(key, given, folder)
            if isinstance(given := content.get("earlier"), str):
                content["earlier"] = _study_place(given, folder)
            for key in FILES:
                if isinstance(files := content.get(key), list):
                    content[key] = [str((folder / str(f)).resolve()) for f in files]
                    _named_now(content[key])
        elif self.source == SHIPPED:
            content = shipped.load("studies", name)
        else:
            content = shipped.load("studies", DEFAULT) if new and self.data is None else {}
        plain: dict[str, Any] = json.loads(json.dumps({**content, "name": name}, default=str))
        return plain


def study_name(study: str | None, data: str | None = None) -> str:
    """The name of the run folder that `STUDY --data D` means; see `StudyFile`."""
    return StudyFile(study, data).name


def load_config(
    study: StudyFile | str | None, overrides: Mapping[str, Any], stored: Mapping[str, Any] | None = None
) -> StudyConfig:
    """The configuration of `search STUDY` with the overrides of the command line.

    Args:
        study: the name of a shipped study, a path to a study YAML, or a new name; None for the embedded default.
        overrides: field name -> value of the option; None means that the option was not given.
        stored: header of the study in the run folder, if there is one. Its configuration is kept. Only the command
            line, and the values that were edited in the study file since then, override it.

    Raises:
        ConfigError: settings break rules; the error lists all of them.
        UserError: the study file cannot be read, or the demo was given data.
    """
    given = _given(overrides)
    found = study if isinstance(study, StudyFile) else StudyFile(study, given.get("data"))
    content = found.content(new=stored is None)
    if "data" in given and found.study == DEFAULT:
        raise UserError(
            f"the study `{DEFAULT}` must use its generated data",
            got=f"--data {given['data']}",
            where=COMMAND_LINE,
            remedy="Leave `demo` out, or give the search another name.",
        )
    file = found.path or f"study '{content['name']}'"
    where = {k: COMMAND_LINE if k in given else file for k in (*StudyConfig.model_fields, *content)}
    if overrides.get("storage") is None and "storage" in given:
        where["storage"] = VARIABLE
    kept, said = ({}, content) if stored is None else _since(stored, content, found.path is not None)
    if "model" in given and "width" not in given:
        said = {k: v for k, v in said.items() if k != "width"}  # a model that the user names keeps its own width
    if given.get("start", "weights") != "weights":
        kept.pop("weights", None)  # they belong to the earlier start
    until = {**said, **given}.get("until")
    changed = stored is not None and until not in (None, kept.get("until", "trials"))
    if changed and "trials" not in {**said, **given}:
        kept.pop("trials", None)  # they belong to the earlier end
        said = {**said, **{k: v for k, v in content.items() if k == "trials"}}
    values = {**kept, **said, **given}
    unknown: list[UserError] = [
        UnknownName("study setting", k, StudyConfig.model_fields, where=file)
        for k in values
        if k not in StudyConfig.model_fields
    ]
    try:
        config = StudyConfig.of({k: v for k, v in values.items() if k in StudyConfig.model_fields}, where=where)
    except ConfigError as error:
        raise ConfigError([*unknown, *error.problems], where=file, readable=error.readable) from None
    if unknown:
        raise ConfigError(unknown, where=file, readable=config)
    return config


def known_study(study: str, runs: Path) -> dict[str, Any] | None:
    """Header of a study that must exist, for `load_config`; None for a study file or a shipped study without a run.

    Args:
        study: the name of a study, or a path to a study YAML.
        runs: the folder of all run folders.

    Raises:
        UnknownName: the name is neither a study file, nor a shipped study, nor the name of a run folder.
    """
    if _is_file(study):
        return None
    stored = next(RecordLog(runs / study).read(), None)
    if stored is None and study not in shipped.names("studies"):
        run = [p.parent.name for p in runs.glob("*/records.jsonl")]
        error = UnknownName("study", study, {*shipped.names("studies"), *run})
        error.remedy += f" Did you mean --model {study}?" if _is_packaged(study) else " Or give --data D.yaml."
        raise error
    return stored


def _read(study: str) -> dict[str, Any]:
    """The content of a study file.

    Raises:
        UserError: the file cannot be read, or it is a model YAML.
    """
    path = Path(study)
    content = shipped.read_yaml(path) if is_file(path) or not _is_packaged(study) else {"backbone": None}
    if {"backbone", "head"} & content.keys():
        rule = "a study file must hold study settings"
        raise UserError(rule, got=f"the model YAML '{study}'", remedy=f"Did you mean --model {shell_word(study)}?")
    return content


def _is_packaged(study: str) -> bool:
    """True if Ultralytics has a model of this name."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.environment import prepare

    prepare()
    try:
        load_base(study)
    except UserError:
        return False
    return True


def _since(stored: Mapping[str, Any], content: Mapping[str, Any], file: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The part of a stored configuration that is kept, and the values that the study's YAML has changed since then.

    A name means the study in the run folder. Its YAML is compared only if the user names the file again, or if the
    study was started from a shipped study.

    Args:
        stored: the header of the study.
        content: the content of the study's YAML now.
        file: True if the user named a study file.
    """
    # a study of a release without early stops, or without groups, goes on without
    kept = {"early_stop": "off", "together": 1, **stored["config"]}
    if not file and (stored.get("source", SHIPPED) != SHIPPED or content.keys() == {"name"}):
        return kept, {}
    before = stored.get("file", {})
    changed = {k: v for k, v in content.items() if k not in before or before[k] != v}
    return {k: v for k, v in kept.items() if k in content or k not in before}, changed


def _study_place(study: str, folder: Path) -> str:
    """The name of an earlier study, or its absolute path."""
    return study if Path(study).name == study and not _is_file(study) else str((folder / study).expanduser().resolve())


def _given(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given. Their paths are relative to the working directory, and are made absolute."""
    given = {k: _plain(k, v) for k, v in overrides.items() if v is not None}
    if "storage" not in given and (url := os.environ.get(VARIABLE)):
        given["storage"] = url
    for key in PATHS:
        if key in given:
            given[key] = _place(key, str(given[key]), Path.cwd(), always=key == "weights")
    if "earlier" in given:
        given["earlier"] = _study_place(str(given["earlier"]), Path.cwd())
    named = given.get("modules")
    if isinstance(named, list | tuple) and named and all(isinstance(n, str) for n in named):
        found = modules_given(given.pop("modules"))
        if files := [*given.get("module_files", ()), *found.get("module_files", ())]:
            found["module_files"] = files
        given |= found
    for key in FILES:
        if key in given:
            given[key] = [str(Path(f).expanduser().resolve()) for f in given[key]]
            _named_now(given[key])
    if "data" in given:
        given["demo"] = False
    if (
        str(given.get("model", "")).endswith(".pt")
        and "weights" not in given
        and given.get("start", "weights") == "weights"
    ):
        given["weights"] = given["model"]  # a user who names a checkpoint wants its weights
    if "weights" in given and "start" not in given:
        given["start"] = "weights"
    return given


def comma_separated(text: str) -> list[str]:
    """The names in a text such as `p3, p4`."""
    return [name.strip() for name in text.split(",") if name.strip()]


def modules_given(items: Iterable[str]) -> dict[str, Any]:
    """The fields that `modules` means: `module_files` from files, `modules` from names separated by commas."""
    files = [item for item in items if item.endswith(".py") or Path(item).name != item]
    names = [name for item in items if item not in files for name in comma_separated(item)]
    given: dict[str, Any] = {"module_files": files} if files else {}
    return given | ({"modules": dict.fromkeys(names)} if names else {})


def _named_now(files: Iterable[str]) -> None:
    from nas_attn.attention.trust import remember_files  # imports torch, which readers of a study do not need

    remember_files(files)


def _plain(key: str, value: Any) -> Any:
    """A Python value in the form of a study file: a path as text, one name as a list, GPU indices as text."""
    if isinstance(value, Path):
        value = str(value)
    if key == "slots" and isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    if key in (*FILES, "modules") and isinstance(value, str):
        return [value]
    if key == "device" and not isinstance(value, str):
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return value


def _place(key: str, given: str, folder: Path, *, always: bool = False) -> str:
    """A value that is a path or a name. A path becomes absolute, a name is returned unchanged.

    `data` is a path, unless Ultralytics ships data of that name. Any other value is a path if such a file exists.
    Weights are a path, unless Ultralytics knows a checkpoint of that name.

    Args:
        key: the field, one of `PATHS`.
        given: its value.
        folder: the folder that a path is relative to.
        always: treat the value as a path even if there is no such file.
    """
    if key == "data":
        return meant(given, folder)
    path = folder / given
    if key == "weights" and is_named(given) and not is_file(path):
        return given
    return str(path.resolve()) if (always and "\0" not in given) or is_file(path) else given


def _is_file(study: str) -> bool:
    return Path(study).suffix in (".yaml", ".yml")
