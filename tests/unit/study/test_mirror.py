"""If another process has locked the storage, the search says so, waits, and writes the missing trials later."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from untrained_searches import InlineEngine, make_plan

from nas_attn.errors import UserError
from nas_attn.study.folder import RunFolder
from nas_attn.study.mirror import Mirror, check_storage, read_mirror
from nas_attn.study.observer import Silent
from nas_attn.study.search import Search
from nas_attn.study.view import StudyView


@pytest.fixture
def locked(tmp_path: Path):
    """The URL of a database that another connection has locked, and that connection."""
    holder = sqlite3.connect(tmp_path / "m.db", isolation_level=None, check_same_thread=False)
    holder.execute("create table held (x)")
    holder.execute("begin exclusive")
    yield f"sqlite:///{tmp_path / 'm.db'}?timeout=0.02", holder
    holder.close()


def test_a_locked_storage_is_called_so(locked):
    url, holder = locked
    check_storage(url)  # it is there
    with pytest.raises(UserError, match="which another process has locked") as caught:
        read_mirror(url, "synthetic")
    assert "SQLAlchemy URL" not in str(caught.value)
    holder.execute("rollback")
    check_storage(url)


def test_it_is_waited_for(locked):
    url, holder = locked
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        holder.execute("rollback")

    with Mirror(url, "synthetic", "0123", tell, patience=30) as mirror:
        assert mirror._storage is not None
    assert len(told) == 1 and "locked" in told[0] and "Waiting up to 30 s" in told[0]


def test_a_search_goes_on_and_the_storage_catches_up(locked, tmp_path):
    url, holder = locked
    told: list[str] = []
    folder = RunFolder(tmp_path / "s")
    folder.create()
    plan = make_plan(trials=8)
    folder.log.append("study", **plan.header)

    class Freeing(Silent):
        ended = 0

        def finished(self, view, trial) -> None:
            self.ended += 1
            if self.ended == 6:
                holder.execute("rollback")

        def note(self, text: str) -> None:
            told.append(text)

    observer = Freeing()
    with Mirror(url, "synthetic", "0123", told.append, patience=0.05) as mirror:
        view = Search(plan, folder, InlineEngine(), mirror, observer).run()
    assert "still locked" in told[1] and any("did not accept a trial" in t and "locked" in t for t in told[2:])
    assert view.counted == 8
    assert StudyView.of(view.folder, read_mirror(url, "synthetic")).trials == view.trials
