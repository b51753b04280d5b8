"""`pgqueue demo`: the first thing that people try."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.cli.conftest import Start
from tests.cli.terminal import DEMO, Process, Terminal, eventually, is_alive

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Three files: two that parse, and one that does not."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "one.py").write_text("import os, json\n\ndef f():\n    pass\n")
    (folder / "two.py").write_text("import os\n\nclass C:\n    async def g(self):\n        pass\n")
    (folder / "bad.py").write_text("def (:\n")
    return folder


def schemas(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace").fetchall()
    return {name for (name,) in rows}


def test_brings_its_own_server_and_tells_in_lines_where_there_is_no_terminal(
    start: Start, sources: Path, tmp_path: Path
) -> None:
    process = _demo(start, sources, XDG_CACHE_HOME=str(tmp_path / "cache"), PGQUEUE_URL="")
    assert process.ends() == 0
    for part in ("started for you", "one transaction", "os 2", "20 retried", "jobs/s", "--keep"):
        assert part in process.output
    assert "\x1b" not in process.output


def test_merges_what_the_jobs_found(start: Start, sources: Path, postgres_url: str) -> None:
    process = _demo(start, sources, "--json", "--processes", 1)
    assert process.ends() == 0
    told = _told(process)
    report = told["report"]
    assert (report["files"], report["unreadable"], report["missing"]) == (3, 1, 0)
    assert (report["functions"], report["classes"], report["lines"]) == (2, 1, 10)
    assert report["imported"][0] == ["os", 2]
    assert told["seen_before_commit"] == 0
    assert told["states"] == {"completed": told["jobs"]}
    assert told["retried"] == 20
    assert 0 < told["lateness"]["p50_seconds"] <= told["lateness"]["p99_seconds"]
    assert told["burst_per_second"] > 0
    assert "pgqueue_demo" not in schemas(postgres_url)


def test_plays_on_a_sqlite_file_which_goes_in_the_end(
    start: Start, sources: Path, tmp_path: Path
) -> None:
    process = _demo(start, sources, "--json", "--url", f"sqlite:///{tmp_path}/demo.db")
    assert process.ends() == 0
    told = _told(process)
    assert told["server"].startswith("SQLite 3.")
    assert (told["report"]["files"], told["report"]["missing"]) == (3, 0)
    assert (told["seen_before_commit"], told["retried"]) == (0, 20)
    assert told["states"] == {"completed": told["jobs"]}
    assert list(tmp_path.glob("demo.db*")) == []


def test_ctrl_c_leaves_nothing_running(start: Start, sources: Path, postgres_url: str) -> None:
    process = _demo(start, sources, "--keep")
    process.says("goes on until Ctrl-C")
    link = process.says(r"(http://127\.0\.0\.1:\d+/enter\?token=\S+)")[0][1]
    with httpx.Client(follow_redirects=True) as browser:
        assert "demo.files" in browser.get(link).text
    url = process.says("PGQUEUE_URL='(.*)'")[0][1]
    workers = Terminal(url)("workers", "--schema", "pgqueue_demo", "--json").json
    assert len(workers) >= 1
    process.send(signal.SIGINT)
    assert process.ends() == 130
    assert not any(is_alive(worker["pid"]) for worker in workers)
    assert "Traceback" not in process.output
    assert "pgqueue_demo" in schemas(postgres_url)  # it was to be kept


@linux
def test_its_workers_stop_when_it_is_killed(start: Start, sources: Path, postgres_url: str) -> None:
    process = _demo(start, sources, "--keep")
    process.says("goes on until Ctrl-C")
    workers = Terminal(postgres_url)("workers", "--schema", "pgqueue_demo", "--json").json
    process.kill()
    eventually(lambda: not any(is_alive(worker["pid"]) for worker in workers))


def test_only_one_at_a_time_plays_in_a_database(start: Start, sources: Path) -> None:
    first = _demo(start, sources, "--keep")
    first.says("goes on until Ctrl-C")
    second = _demo(start, sources)
    assert second.ends() == 1
    assert "another demo is running in this database" in second.output
    first.send(signal.SIGTERM)
    assert first.ends() == 130
    assert _demo(start, sources).ends() == 0  # what the first one kept is gone


def test_a_directory_without_python_is_misuse(start: Start, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    process = _demo(start, tmp_path / "empty")
    assert process.ends() == 2
    assert "there is no Python file below" in process.output


def _told(process: Process) -> Any:
    """The figures, among what the workers log."""
    output = process.output
    return json.JSONDecoder().raw_decode(output, output.index("{\n"))[0]


def _demo(start: Start, *words: object, **environment: str) -> Process:
    return start("-c", DEMO, "demo", *words, "--debug", **environment)
