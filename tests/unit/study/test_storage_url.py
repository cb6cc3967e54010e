"""The password of a storage is used to connect, and is never shown or stored."""

from __future__ import annotations

import contextlib
import json
import re
import traceback
from urllib.parse import unquote

import pytest
from fabricated_studies import fabricate
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from untrained_searches import make_plan, run_plan

from nas_attn.api import Study
from nas_attn.errors import ConfigError, UserError
from nas_attn.study.config import StudyConfig
from nas_attn.study.config_sources import load_config
from nas_attn.study.mirror import Mirror, check_storage, read_mirror
from nas_attn.study.observer import Silent
from nas_attn.study.records import RecordLog
from nas_attn.study.storage_url import LEFT_OUT, StorageUrl, masked, without_secrets
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
    "me:/hunter2@host/db": "me:***@host/db",
    "host=h user=me password=hunter2 dbname=d": "host=h user=me password=*** dbname=d",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dhunter2%3BUID%3Dme": ("mssql+pyodbc:///?odbc_connect=***"),
    "mssql+pyodbc:///?odbc_connect=Driver%3DX%3BPWD%3D%7Bhunter2%3Bmore%7D": "mssql+pyodbc:///?odbc_connect=***",
    "postgresql://me:hun?t@e&r2:hunter2@host/db": "postgresql://me:***@host/db",
    "postgresql+psycopg://me:hunter2/db": "postgresql+psycopg://me:***",
    "postgresql://me:hunter2&@host/db": "postgresql://me:***@host/db",
    "postgresql+psycopg://me:hunter2": "postgresql+psycopg://me:***",
    "postgresql://me@host:hunter2/db": "postgresql://me@host:***",
    "postgresql://host/db?passw%6frd=hunter2&sslmode=require": "postgresql://host/db?passw%6frd=***&sslmode=require",
    "postgresql://host/db?password=abc hunter2&user=me": "postgresql://host/db?password=***&user=me",
    "postgresql://host/db?password=abc&hunter2": "postgresql://host/db?password=***",
    "postgresql://host/db?options=-c%20my.token%3Dhunter2": "postgresql://host/db?options=***",
    "host=h password='a hunter2' dbname=d": "host=h password=*** dbname=d",
    "sqlite+x:///me:hunter2@h/db": "sqlite+x:///me:***@h/db",
    "sqlite+pysqlcipher://:hunter2@/s.db": "sqlite+pysqlcipher://:***@/s.db",
    "sqlite:study.db": "sqlite:study.db",
    "postgresql://[::1]:5432/db": "postgresql://[::1]:5432/db",
    "postgresql://me@host:5432/db?user=me@server": "postgresql://me@host:5432/db?user=me@server",
    "postgresql://me:hunter2@/db?host=/cloudsql/a:b:c": "postgresql://me:***@/db?host=/cloudsql/a:b:c",
    "postgresql://me@/db?host=/cloudsql/a:b:c": "postgresql://me@/db?host=/cloudsql/a:b:c",
    "postgresql://me:hunter2@host/db?application_name=a@b": "postgresql://me:***@host/db?application_name=a@b",
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


SECRETS = st.text(alphabet="QWXZ79@:/?#&=%+;,.[]{}'\\\" ", min_size=4, max_size=14)
NAMES = st.text(alphabet="abcde-_.%4", min_size=1, max_size=6)
QUERIES = st.sampled_from(["", "?", "?a=b", "?host=/c/a:b:c&user=d@e", "?sslmode=require&connect_timeout=1"])
DRIVERS = st.sampled_from(["postgresql+psycopg", "mysql", "sqlite+x", "sqlite+pysqlcipher", "nonsense"])
PLACES = [
    "{driver}://{user}:{secret}@{host}:1/{db}{query}", "{driver}://{user}:{secret}@{host}/{db}{query}",
    "{driver}://:{secret}@/{db}{query}", "{driver}:/{user}:{secret}@{host}{query}", "{user}:{secret}@{host}/{db}",
    "{driver}://{user}:{secret}/{db}{query}", "{driver}://{user}@{host}:{secret}", "{driver}://{user}:{secret}",
    "{driver}://{host}/{db}?a=b&password={secret}&c=d", "{driver}:///{db}?odbc_connect={secret}",
    "{driver}://{host}/{db}?passw%6frd={secret}", "{driver}://{host}:1/{db}?x=pwd%3D{secret}",
]  # fmt: skip


def parts(text):
    return {text[i : i + 4].lower() for i in range(len(text) - 3)}


@pytest.mark.parametrize("place", PLACES)
@given(secret=SECRETS, driver=DRIVERS, user=NAMES, host=NAMES, db=NAMES, query=QUERIES, at=st.data())
def test_no_part_of_a_secret_is_shown(place, secret, driver, user, host, db, query, at):
    if "?" in place.partition("{secret}")[0]:
        assume(not re.search("&[^&=]*=", secret))  # that is another setting
    if "{secret}@" not in place:
        assume("@" not in secret and not re.match(r"\d*(?:[/?]|$)", secret))  # a host, a port
    frame = dict(driver=driver, user=user, host=host, db=db, query=query)
    url = place.format(**frame, secret=secret)
    wanted = parts(secret) | parts(unquote(secret))
    assume(not wanted & parts(place.format(**frame, secret=" ")))
    address = StorageUrl(url)
    start = at.draw(st.integers(0, len(secret) - 1))
    texts = [f"cannot parse {url!r}", f"no such host '{secret[start:]}'", f"bad {unquote(secret)}", secret[: start + 4]]
    with contextlib.suppress(Exception):
        made = make_url(url)
        texts += [str(part) for part in (made.host, made.port, made.database, made.password, dict(made.query), made)]
    for shown in (masked(url), str(address), repr(address), *map(address.hide, texts)):
        assert not wanted & parts(shown)
    assert masked(masked(url)) == masked(url)


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        ("db://me:hunter2@host/d", "no host 'host' for me, hunter2", "no host 'host' for me, ***"),
        ("db://me:hunter2@host/d", "no host 'hunt'", LEFT_OUT),
        ("db://me:hun@ter2@host/d", "no host 'er2@host'", LEFT_OUT),
        ("db://me@host/d", "no host 'host'", "no host 'host'"),
        ("db://me:ab@host/d", "table ab", LEFT_OUT),
        ("db://me:hun%40ter2@host/d", "refused hun@ter2", "refused ***"),
    ],
)
def test_a_drivers_message_is_shown_if_it_is_safe(url, text, shown):
    assert StorageUrl(url).hide(text) == shown


def test_a_note_on_a_storage_that_took_no_trial_is_safe(tmp_path, monkeypatch):
    def refuse(self, *arguments):
        self.hide = StorageUrl("postgresql://me:S3@hunter2@host/db").hide
        raise OperationalError("insert", {}, Exception("no such host: 'hunter2@host'"))

    notes: list[str] = []
    monkeypatch.setattr(Mirror, "write_trial", refuse)
    monkeypatch.setattr(Silent, "note", lambda self, text: notes.append(text))
    run_plan(make_plan(trials=4), tmp_path / "s", url=f"sqlite:///{tmp_path / 'm.db'}", observer=Silent())
    assert any(LEFT_OUT in note for note in notes) and SECRET not in "".join(notes)


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
    assert SECRET not in json.dumps(Study(StudyView.read(tmp_path / "old")).as_dict())


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
    "postgresql+psycopg://me:S3@hunter2@127.0.0.1:1/db", "postgresql+psycopg://me:hunter2/db",
    "postgresql+psycopg://me:hunter2", "postgresql+psycopg://127.0.0.1:1/db?passw%6frd=hunter2",
    "postgresql+psycopg://127.0.0.1:1/db?password=abc hunter2", "sqlite+x:///me:hunter2@h/db",
    "mssql+pyodbc:///?odbc_connect=Driver%3DX%3BPWD%3D%7BS3%3Bhunter2%7D",
])  # fmt: skip
@pytest.mark.parametrize("opening", [check_storage, lambda url: read_mirror(url, "s")])
def test_a_storage_that_cannot_be_opened_is_one_message(url, opening):
    with pytest.raises(UserError, match="the storage must be a database that can be opened") as caught:
        opening(url)
    assert "5x433" not in url or "its port or another number in it cannot be read" in str(caught.value)
    told = "".join(traceback.format_exception(caught.value)).split("Error: ", 1)[-1]
    assert SECRET not in str(caught.value) + told
    error = caught.value
    while error is not None:
        assert SECRET not in str(error) + repr(error.args)
        error = error.__cause__ or error.__context__
