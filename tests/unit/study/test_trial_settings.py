"""The field `train` of a study: where it comes from, that it stays the same, and how it reads."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from nas_attn.detector.proxy.train_settings import read_settings
from nas_attn.errors import ConfigError, StudyChanged
from nas_attn.study.config import StudyConfig
from nas_attn.study.config_sources import StudyFile, load_config
from nas_attn.study.identity import check_unchanged
from nas_attn.study.record_kinds import KINDS
from nas_attn.study.trial_settings import as_words, differing, settings_of, trained_with

GIVEN = {"mosaic": 0.5, "close_mosaic": 3, "overlap_mask": False, "copy_paste_mode": "mixup", "scale": [0.5, 2.0]}


@pytest.fixture
def header():
    """A function: training settings -> the header of a study that has them; None for an earlier release."""

    def make(train):
        config = load_config("s", {"data": "d", "train": train}).model_dump(mode="json")
        if train is None:
            del config["train"]
        return {"name": "s", "format": 1, "config": config, "fingerprints": {"data": "d"}}

    return make


def test_settings_come_from_the_file_and_each_may_be_overridden(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("data: d.yaml\ntrain:\n  hsv_h: 0\n  mosaic: 0.5\n")
    assert load_config(str(path), {}).train == {"hsv_h": 0, "mosaic": 0.5}
    first = load_config(str(path), {"train": {"mosaic": 1.0, "cls": 1.0}})
    assert first.train == {"hsv_h": 0, "mosaic": 1.0, "cls": 1.0}
    stored = {"config": first.model_dump(mode="json"), "file": StudyFile(str(path)).content()}
    for again in ({}, {"train": {"cls": 1}}, {"train": {}}):
        assert load_config(str(path), again, stored).train == first.train
    assert load_config("s", {}, stored | {"source": "", "name": "s"}).train == first.train
    path.write_text("data: d.yaml\ntrain:\n  mosaic: 0.5\n")
    assert load_config(str(path), {}, stored).train == {"mosaic": 0.5}, "an edited file counts"
    path.write_text("data: d.yaml\ntrain:\n")
    assert load_config(str(path), {}).train == {}
    assert load_config(str(path), {"train": {"mosaic": 1}}).train == {"mosaic": 1}


def test_a_continued_study_has_the_same_settings(header):
    check_unchanged(header({"hsv_h": 0, "mosaic": 0.5}), header({"mosaic": 0.5, "hsv_h": 0.0}))
    check_unchanged(header(None), header({}))  # of an earlier release
    with pytest.raises(StudyChanged) as changed:
        check_unchanged(header({"mosaic": 0.5, "cls": 1.0}), header({"mosaic": 0.25, "box": 5.0}))
    assert changed.value.got == (
        "other values of the training setting box (not set then, 5.0 now), the training setting cls (1.0 then, not set "
        "now), the training setting mosaic (0.5 then, 0.25 now)"
    )
    with pytest.raises(StudyChanged, match="the training setting mosaic"):
        check_unchanged(header(None), header({"mosaic": 0.5}))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("mosaic=0.5", "`train` must map names to values"),
        ([1], "`train` must map names to values"),
        ({1: 0.5}, "must be text"),
        *(
            ({"mosaic": wrong}, "`train.mosaic`: must be a finite number, text, true or false, or a list of them")
            for wrong in (None, {"p": 1}, [0.5, None], float("nan"), float("inf"), 2**53, 10**400, np.zeros(2))
        ),
    ],
)
def test_what_no_record_can_hold_is_refused(value, said):
    with pytest.raises(ConfigError, match=said):
        load_config("s", {"data": "d", "train": value})


def test_all_mistakes_of_a_configuration_are_named_with_those_of_its_settings():
    wrong = {"data": "d", "epochs": 0, "train": {"mosaic": None, "cls": 1.0, "hsv_h": [None]}}
    with pytest.raises(ConfigError) as refused:
        load_config("s", wrong)
    assert len(refused.value.problems) == 3
    assert refused.value.readable.train == {}


def test_records_hold_settings_as_they_were_given():
    config = load_config("s", {"data": "d", "train": GIVEN | {"scale": (0.5, 2.0), "cls": np.float64(0.5)}})
    written = json.loads(json.dumps(config.model_dump(mode="json")))
    assert written["train"] == GIVEN | {"cls": 0.5}
    KINDS["study"].model_validate({"config": written})
    assert settings_of(written) == written["train"] and settings_of({}) == settings_of({"train": None}) == {}
    assert StudyConfig.model_validate(written).identity()["train"] == written["train"]


def test_words_say_the_settings_so_that_a_command_takes_them_again():
    words = as_words(GIVEN | {"hsv_h": 0.0, "box": 1e-05})
    assert words.startswith("box=1e-05 close_mosaic=3 copy_paste_mode=mixup hsv_h=0.0 mosaic=0.5")
    assert read_settings(shlex.split(words)) == GIVEN | {"hsv_h": 0.0, "box": 1e-05}
    assert as_words({}) == ""
    assert trained_with("2 epochs", {"train": {"cls": 1.0}}) == "2 epochs, with cls=1.0"
    assert trained_with("2 epochs", {}) == "2 epochs"


def test_equal_settings_do_not_differ():
    assert not list(differing({"a": 1, "b": [1, 2]}, {"b": [1.0, 2.0], "a": 1.0}))
