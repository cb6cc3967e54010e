"""The Optuna mirror on a real PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.study.mirror import read_mirror
from nas_attn.study.view import StudyView

pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(sys.platform == "win32", reason="the server is reached through a socket in a folder"),
]


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    which = shutil.which("initdb")
    return Path(which).parent if which else None


@pytest.fixture(scope="module")
def server():
    """URL of an empty database on a server of our own, reachable through a socket in a folder only."""
    pytest.importorskip("psycopg", reason="missing part: psycopg, pip install -e '.[ci]'")
    programs = _programs()
    if programs is None:
        pytest.skip("missing part: postgresql, apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="nas_attn-pg-"))  # pytest closes its own folders to other users
    user: dict = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"

    def call(*arguments: object) -> None:
        subprocess.run([str(a) for a in arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)

    call(programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    call(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://tester@/postgres?host={folder}"
    finally:
        call(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_a_study_is_read_back_whole_from_the_database_alone(server, tmp_path):
    plan = make_plan(trials=12, max_gmacs=3.15)
    view = run_plan(plan, tmp_path, url=server)
    again = StudyView.of(view.folder, read_mirror(server, "synthetic"))
    assert (again.header, again.slots, again.trials) == (view.header, view.slots, view.trials)


def test_a_continued_study_is_mirrored_once(server, tmp_path):
    run_plan(make_plan(name="longer", trials=8), tmp_path, url=server)
    view = run_plan(make_plan(name="longer", trials=11), tmp_path, url=server)
    records = read_mirror(server, "longer")
    assert [r["number"] for r in records if r["kind"] in ("started", "refused")] == list(range(len(view.trials)))


def test_a_missing_study_is_said(server):
    from nas_attn.errors import UserError

    with pytest.raises(UserError, match="'nobody'"):
        read_mirror(server, "nobody")
