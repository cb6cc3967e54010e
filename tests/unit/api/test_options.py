"""The keywords of the Python functions: typed, complete, and shown where a notebook looks for them."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import typed_options

import nas_attn as na
from nas_attn.api.options import AblationOptions, LivenessOptions, SearchOptions
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import StudyConfig


def test_the_typed_keywords_are_the_fields_of_the_configurations():
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "-q", "--stdin-filename", str(typed_options.FILE), "-"],
        input=typed_options.source(),
        capture_output=True,
        text=True,
        check=True,
        cwd=typed_options.FILE.parents[2],
    ).stdout
    assert formatted == typed_options.FILE.read_text(encoding="utf-8"), "run: python tests/support/typed_options.py"
    search = set(SearchOptions.__annotations__)
    assert search == set(StudyConfig.model_fields) - {"name", "demo", "ablation"}
    assert set(AblationConfig.model_fields) <= set(AblationOptions.__annotations__)
    assert set(LivenessOptions.__annotations__) <= search


@pytest.mark.parametrize(
    ("function", "options"),
    [(na.run_search, SearchOptions), (na.ablate, AblationOptions), (na.liveness, LivenessOptions)],
)
def test_a_notebook_sees_every_keyword(function, options):
    parameters = inspect.signature(function).parameters
    assert set(options.__annotations__) <= set(parameters)
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert {"evaluator", "engine", "progress"} <= set(parameters)
    text = inspect.getdoc(function) or ""
    assert all(f"\n    {name}: " in text for name in options.__annotations__)


def test_public_names_are_there_and_documented():
    assert sorted(na.__all__) == na.__all__
    for name in na.__all__:
        found = getattr(na, name)
        assert name == "__version__" or inspect.getdoc(found), name
    assert set(na.__all__) <= set(dir(na))
    with pytest.raises(AttributeError, match="no attribute 'modles'"):
        na.modles  # noqa: B018
