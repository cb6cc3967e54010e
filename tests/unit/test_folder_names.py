"""Names that a folder can have on every system, whatever script they are written in."""

from __future__ import annotations

import unicodedata

import pytest

from nas_attn.errors import ConfigError
from nas_attn.folder_names import folder_name, is_folder_name, usual
from nas_attn.study.config_sources import load_config, study_name

GOOD = ("mine", "cells-2", "v1.2_b", "9", "研究1", "données", "प्रयोग", "опыт", "a" * 200, "con1", "console", "aux-2")
BAD = ("", ".", "..", "a.", "-a", "_a", "a b", "a/b", "a\\b", "a:b", "a*", "a?", 'a"', "a<b", "a|b", "a\nb", "a\0",
       "con", "CON", "nul.txt", "Aux", "com1", "lpt9.x", "a" * 201, "研" * 67, "\udcff", "a\u202eb")  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_a_studys(name):
    assert is_folder_name(name) and load_config(name, {"data": "d"}).name == name


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_some_system_refuses_is_refused_everywhere(name, tmp_path):
    assert not is_folder_name(name)
    (tmp_path / "s.yaml").write_text("data: d.yaml\n")
    with pytest.raises(ConfigError, match="`name` must be one that a folder can have on every system, but got") as told:
        load_config(str(tmp_path / "s.yaml"), {"name": name})
    assert "letters and digits of any script" in str(told.value) or "Leave out the spaces" in str(told.value)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("cells 2", "cells-2"), ("数据 集", "数据-集"), ("研究", "研究"), ("(1)", "1"), ("_raw.", "raw"), ("!", "data"),
     ("con", "con-data"), ("demo", "demo-data"), ("प्रयोग", "प्रयोग")],
)  # fmt: skip
def test_a_folder_of_data_names_its_study(folder, name):
    assert study_name(None, f"/somewhere/{folder}/data.yaml") == name and is_folder_name(name)


def test_a_name_in_parts_is_the_same_as_one_in_whole_letters():
    parts = unicodedata.normalize("NFD", "données")
    assert parts != "données" and usual(parts) == folder_name(parts) == study_name(parts) == "données"


def test_a_name_that_is_no_text_is_told():
    with pytest.raises(ConfigError, match="`name` must be one that a folder can have"):
        load_config("\udcff\udcfe", {"data": "d"})
