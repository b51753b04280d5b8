"""`python -m pgqueue.worker APP`: finding the application, settings, signals, logs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from pgqueue import App
from pgqueue.operations import inspections
from tests.cli.conftest import Start
from tests.cli.shop import build, hang, send
from tests.cli.terminal import Terminal, eventually

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def test_drain_ends_when_all_is_done(worker: Start, app: App) -> None:
    handles = app.enqueue([send.job(n) for n in range(20)])
    assert worker("--queues", "mail", "--drain").ends() == 0
    assert {job.state for job in app.execute(inspections.get(handles)).values()} == {"completed"}


def test_the_group_has_the_same_command(start: Start, app: App) -> None:
    handle = app.enqueue(build.job(pages=1))
    command = "from pgqueue.cli import main; main()"
    assert start("-c", command, "worker", "shop:app", "--drain").ends() == 0
    assert app.result(handle, timeout=0) == "built"


def test_sigterm_lets_jobs_finish(worker: Start, app: App, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    handle = app.enqueue(hang.job(str(gate)))
    process = worker()
    eventually((tmp_path / "gate.pid").exists)
    process.send(signal.SIGTERM)
    process.says("SIGTERM: finishing what runs")
    gate.touch()
    assert process.ends() == 0
    assert app.result(handle, timeout=0) == process.pid


def test_a_second_signal_stops_now_what_cannot_be_stopped(
    worker: Start, app: App, tmp_path: Path
) -> None:
    handle = app.enqueue(hang.job(str(tmp_path / "never")))
    process = worker()
    eventually((tmp_path / "never.pid").exists)
    process.send(signal.SIGINT)
    process.says("SIGINT: finishing what runs")
    process.send(signal.SIGINT)
    assert process.ends() == 0
    job = app.execute(inspections.get([handle]))[handle.id]
    assert (job.state, job.attempt) == ("available", 0)


def test_a_worker_that_waits_for_its_database_can_be_stopped(worker: Start) -> None:
    process = worker("--url", NOWHERE)
    process.says("the database is away")
    process.send(signal.SIGTERM)
    assert process.ends() == 0


def test_a_database_without_tables_ends_it_with_one_line(worker: Start, empty_url: str) -> None:
    process = worker(PGQUEUE_URL=empty_url)
    assert process.ends() == 1
    assert len(process.output.splitlines()) == 1
    assert "run `pgqueue migrate`" in process.output


def test_settings_come_from_the_environment(worker: Start, terminal: Terminal) -> None:
    process = worker(PGQUEUE_QUEUES="slow:3,mail", PGQUEUE_NAME="till", PGQUEUE_CONCURRENCY="7")
    process.says("queues slow, mail, concurrency 7")
    [shown] = terminal("workers", "--json").json
    assert shown["name"] == "till"


def test_a_flag_counts_more_than_the_environment(worker: Start) -> None:
    process = worker("--queues", "mail", PGQUEUE_QUEUES="slow")
    process.says("queues mail, concurrency")


def test_a_url_counts_more_than_the_applications_own(
    folder: Path, start: Start, app: App, postgres_url: str
) -> None:
    (folder / "elsewhere.py").write_text(
        f"from pgqueue import App\nfrom shop import app as shop\napp = App({NOWHERE!r})\n"
        "[app.add(task) for task in shop.tasks.values()]\n"
    )
    handle = app.enqueue(build.job(pages=1))
    words = ["elsewhere:app", "--url", postgres_url, "--drain"]
    assert start("-m", "pgqueue.worker", *words).ends() == 0
    assert app.result(handle, timeout=0) == "built"


def test_it_says_where_jobs_are_when_nobody_has_said_so(folder: Path, start: Start) -> None:
    (folder / "alone.py").write_text("from pgqueue import App\napp = App()\n")
    process = start("-m", "pgqueue.worker", "alone", "--drain", PGQUEUE_URL="")
    assert process.ends() == 0
    assert f"jobs are in {(folder / 'pgqueue.db').resolve()}" in process.output


def test_logs_json_when_asked(worker: Start) -> None:
    process = worker("--drain", "--log-format", "json")
    assert process.ends() == 0
    records = [json.loads(line) for line in process.output.splitlines()]
    assert {"at", "level", "logger", "pid", "message"} <= set(records[0])
    assert any("started" in record["message"] for record in records)


def test_the_log_level_makes_it_quiet(worker: Start) -> None:
    process = worker("--drain", "--log-level", "warning")
    assert process.ends() == 0
    assert process.output == ""


def test_each_job_is_a_line_at_debug(worker: Start, app: App) -> None:
    handle = app.enqueue(build.job(pages=1))
    process = worker("--drain", "--log-level", "debug")
    assert process.ends() == 0
    assert f"job {handle.id} (build) completed, attempt 1" in process.output


def test_an_application_that_logs_by_itself_is_left_alone(folder: Path, start: Start) -> None:
    (folder / "own.py").write_text(
        "import logging\nlogging.basicConfig(format='mine %(message)s', level='INFO')\n"
        "from shop import app\n"
    )
    process = start("-m", "pgqueue.worker", "own", "--drain")
    assert process.ends() == 0
    assert process.output.startswith("mine worker")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere:app", "there is no module nowhere"),
        ("shop:nothing", "shop:nothing is not there; shop has shop:app: name one"),
        ("shop:send", "is an AsyncTask, not an App"),
        ("shop.app", "nor installed; did you mean shop:app?"),
        ("shop.py:app", "give a module, not a file: shop:app"),
        ("json", "json has no App"),
        ("two", "two has two:first, two:second: name one"),
        ("broken", "ZeroDivisionError: division by zero"),
        ("unparsable", "SyntaxError"),
        ("needy", "ModuleNotFoundError: No module named 'nowhere_either'"),
    ],
)
def test_an_app_that_is_not_found_is_one_line(
    folder: Path, worker: Start, start: Start, name: str, says: str
) -> None:
    (folder / "two.py").write_text("from pgqueue import App\nfirst, second = App(), App()\n")
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "unparsable.py").write_text("def\n")
    (folder / "needy.py").write_text("import nowhere_either\n")
    process = start("-m", "pgqueue.worker", name)
    assert process.ends() == 2
    assert says in process.output
    assert len(process.output.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--queues", "mail:many"],
        ["--concurrency", "0"],
        ["--processes", "0"],
        ["--heartbeat-interval", "60"],
        ["--grace", "-1"],
        ["--schema", "elsewhere"],
    ],
)
def test_settings_that_cannot_work_are_misuse(worker: Start, words: list[str]) -> None:
    process = worker(*words)
    assert process.ends() == 2
    assert len(process.output.splitlines()) == 1
