"""The password of a storage is used, and stands nowhere."""

from __future__ import annotations

import json
import traceback

import pytest
from fabricate import fabricate
from hypothesis import given
from hypothesis import strategies as st
from plans import make_plan, run_plan

from nas_attn.errors import ConfigError, UserError
from nas_attn.study.config import StudyConfig
from nas_attn.study.load import load_config
from nas_attn.study.mirror import check_storage, read_mirror
from nas_attn.study.records import RecordLog
from nas_attn.study.storage_url import StorageUrl, masked, without_secrets
from nas_attn.study.view import StudyView

SECRET = "hunter2"
URLS = {
    "postgresql+psycopg://me:hunter2@host:5432/db": "postgresql+psycopg://me:***@host:5432/db",
    "postgresql://me:hunter2@host/db?sslmode=require": "postgresql://me:***@host/db?sslmode=require",
    "postgresql://me@host/db?password=hunter2&sslmode=require": "postgresql://me@host/db?password=***&sslmode=require",
    "postgresql://host/db?user=me&PASSWORD=hunter2": "postgresql://host/db?user=me&PASSWORD=***",
    "postgresql://host/db?passfile=/home/me/.pgpass": "postgresql://host/db?passfile=/home/me/.pgpass",
    "mysql://me:hunter2@host:5x433/db": "mysql://me:***@host:5x433/db",
    "mysql://me:hun@ter2:hunter2@host/db": "mysql://me:***@host/db",
    "postgresql:/me:hunter2@host/db": "postgresql:/me:***@host/db",
    "me:hunter2@host/db": "me:***@host/db",
    "host=h user=me password=hunter2 dbname=d": "host=h user=me password=*** dbname=d",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dhunter2%3BUID%3Dme": (
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3D***%3BUID%3Dme"
    ),
    "sqlite:///C:/data/study.db": "sqlite:///C:/data/study.db",
    "sqlite:////home/a@b/study.db": "sqlite:////home/a@b/study.db",
    "postgresql://me@host/db": "postgresql://me@host/db",
}


def values(**more):
    return {"demo": True, **more}


@pytest.mark.parametrize("url", URLS)
def test_only_the_password_is_masked(url):
    address = StorageUrl(url)
    assert masked(url) == str(address) == URLS[url] and address.secret == url
    assert masked(masked(url)) == masked(url) and SECRET not in repr(address)


@given(st.text(alphabet="ab:/@?&=%. ", max_size=12), st.text(alphabet="ab:/@?&=%. ", max_size=12))
def test_no_url_shows_what_stands_between_a_name_and_the_host(before, after):
    for url in (
        f"db://me:{SECRET}@{after}",
        f"db://{before}me:{SECRET}@host{after}",
        f"db://h/d?{after}&password={SECRET}",
    ):
        assert SECRET not in masked(url)


def test_a_configuration_keeps_it_to_itself():
    url = "postgresql://me:hunter2@host/db"
    config = StudyConfig.of(values(storage=url))
    assert config.storage.secret == url
    assert SECRET not in repr(config) + str(config) + config.model_dump_json() + repr(config.model_dump())
    assert config.model_copy(update={"trials": 3}).storage.secret == url
    assert StudyConfig.of(config.model_dump()).storage.secret == url
    assert config.identity() == StudyConfig.of(values(storage=url.replace(SECRET, "other"))).identity()
    with pytest.raises(ConfigError) as caught:
        StudyConfig.of(values(storage=[url]))
    assert SECRET not in str(caught.value)


def test_what_is_recorded_of_it(tmp_path):
    url = "postgresql://me:hunter2@host/db"
    plan = make_plan(trials=6, storage=url)
    mirror = f"sqlite:///{tmp_path / 'm.db'}"
    view = run_plan(plan, tmp_path / "s", url=mirror)
    assert view.header["config"]["storage"] == "postgresql://me:***@host/db"
    assert SECRET.encode() not in (tmp_path / "s" / "records.jsonl").read_bytes() + (tmp_path / "m.db").read_bytes()


def test_an_old_log_keeps_working_and_is_masked_where_it_is_shown(tmp_path):
    url = "postgresql://me:hunter2@host/db?password=hunter2"
    fabricate(tmp_path / "old", storage=url)
    stored = next(RecordLog(tmp_path / "old").read())
    assert StudyView.read(tmp_path / "old").header["config"]["storage"] == masked(url)
    stored = {**stored, "config": values(name="old", storage=url)}
    assert load_config("old", {}, stored).storage.secret == url
    assert without_secrets({"file": {"storage": url}})["file"]["storage"] == masked(url)
    from nas_attn.cli.search import summary

    assert SECRET not in json.dumps(summary(StudyView.read(tmp_path / "old")))


def test_where_a_continued_study_has_its_password_from(monkeypatch):
    url = "postgresql://me:hunter2@host/db?password=hunter2&sslmode=require"
    stored = without_secrets({"config": values(name="s", storage=url)})
    plain = "postgresql://me@host/db?sslmode=require"
    assert load_config("s", {}, stored).storage.secret == plain  # and PGPASSWORD or .pgpass tell the rest
    assert load_config("s", {"storage": url}, stored).storage.secret == url
    monkeypatch.setenv("NAS_ATTN_STORAGE", url)
    assert load_config("s", {}, stored).storage.secret == url
    assert load_config("s", {"storage": plain}, stored).storage.secret == plain
    assert load_config("fresh", {"data": "d.yaml"}).storage.secret == url


@pytest.mark.parametrize("url", [
    "postgresql://me:hunter2@host:5x433/db", "nonsense://me:hunter2@host/db", "me:hunter2@host/db",
    "sqlite:////nowhere/at/all.db?timeout=x&password=hunter2", "postgresql+psycopg://me:hunter2@[::1/db",
])  # fmt: skip
@pytest.mark.parametrize("opening", [check_storage, lambda url: read_mirror(url, "s")])
def test_a_storage_that_cannot_be_opened_is_one_message(url, opening):
    with pytest.raises(UserError, match="the storage must be a database that can be opened") as caught:
        opening(url)
    assert "5x433" not in url or "its port, or another number in it, cannot be read" in str(caught.value)
    told = "".join(traceback.format_exception(caught.value)).split("Error: ", 1)[-1]
    assert SECRET not in str(caught.value) + told
    error = caught.value
    while error is not None:
        assert SECRET not in str(error) + repr(error.args)
        error = error.__cause__ or error.__context__
