"""Options made from fields of a configuration: help and type come from the field; a command gets given values only."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, Field

from nas_attn.cli import ablate, search, slots
from nas_attn.cli.fields import FieldOptions, with_fields
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import StudyConfig


class Config(BaseModel):
    seeds: int = Field(5, description="Seeds.")
    share: float = Field(1.0, description="Share.")
    limit: float | None = Field(None, description="Limit. [none]")
    kind: Literal["a", "b"] = Field("a", description="a or b.")
    controls: bool = Field(True, description="Controls.")
    slots: list[str] | None = Field(None, description="Slots.")
    arms: list[str] = Field(default_factory=list, description="Arm.")
    epochs: int = Field(3, description="Epochs.")


@pytest.fixture
def app():
    seen: list[Any] = []

    @with_fields
    def command(
        study: Annotated[str | None, typer.Argument()] = None,
        *,
        given: Annotated[dict[str, Any], FieldOptions(Config, tuple(Config.model_fields), {"limit": "Most."})],
        name: Annotated[str, typer.Option(help="Name.")] = "x",
    ) -> int:
        seen.append((study, given, name))
        return 0

    made = typer.Typer(rich_markup_mode=None, add_completion=False)
    made.command()(command)
    return lambda *arguments: (made(list(arguments), standalone_mode=False), seen)[1]


def test_a_command_sees_only_what_was_given(app):
    assert app()[-1] == (None, {}, "x")
    assert app("s", "--seeds", "5", "--no-controls", "--share", "1")[-1] == (
        "s", {"seeds": 5, "share": 1.0, "controls": False}, "x"
    )  # fmt: skip
    assert app("--slots", "p3, p4", "--arm", "a", "--arm", "b,c", "--name", "y")[-1] == (
        None, {"slots": ["p3", "p4"], "arms": ["a", "b,c"]}, "y"
    )  # fmt: skip
    assert app("--slots", "")[-1][1] == {"slots": []}


def test_the_help_is_the_fields(app, capsys):
    app("--help")
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        *(
            "--seeds <int> Seeds. [default: 5]",
            "--share <float> Share. [default: 1]",
            "--limit <float> Most.",
            "--kind <str> a or b. [default: a]",
        ),
        *("--controls / --no-controls Controls. [default: yes]", "--slots NAME,... Slots.", '--arm "p5=..." Arm.'),
        "--epochs <int> Epochs.",  # its default is not shown: UNSHOWN
    ):
        assert line in said


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (StudyConfig, search.OFFERED),
        (AblationConfig, ablate.OFFERED),
        (StudyConfig, ablate.OF_THE_STUDY),
        (StudyConfig, slots.OFFERED),
    ],
)
def test_every_field_that_is_offered_says_what_it_is(config, names):
    assert all((config.model_fields[name].description or "").endswith((".", "]")) for name in names)


def test_an_ablation_offers_all_that_its_block_may_say():
    assert set(ablate.OFFERED) == set(AblationConfig.model_fields)
