"""`pgqueue jobs cancel|retry|release|move|reprioritise|purge` by a filter."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App, Filter
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from tests.cli.conftest import Start
from tests.cli.shop import boom, build, hang, send
from tests.cli.terminal import Terminal, eventually
from tests.settings.conftest import is_set

Work = Callable[..., None]


def states(app: App) -> dict[str, int]:
    """How many jobs there are in each state."""
    jobs = app.execute(inspections.list_jobs(limit=10_000))
    return {state: n for state in State if (n := sum(job.state == state for job in jobs))}


def test_says_in_words_what_it_would_do(terminal: Terminal, app: App) -> None:
    app.enqueue([send.job(n) for n in range(3)])
    words = ("--queue", "mail", "--arg", "order_id=1", "--older-than", "0s", "--dry-run")

    text = terminal.ok("jobs", "cancel", *words)

    assert text == ("would cancel 1 job in queue mail, with order_id = 1, older than 0 seconds\n")
    document = terminal("jobs", "cancel", "--queue", "mail", "--dry-run", "--json").json
    assert document == {"dry_run": True, "jobs": 3, "exact": True, "filter": "in queue mail"}
    assert states(app) == {"available": 3}


def test_beyond_ten_thousand_it_does_not_count(terminal: Terminal, app: App) -> None:
    app.enqueue([build.job(n) for n in range(10_001)])

    text = terminal.ok("jobs", "cancel", "--task", "build", "--dry-run")

    assert text == "would cancel ≥ 10,000 jobs of task build\n"


def test_the_question_says_it_too(terminal: Terminal, app: App) -> None:
    app.enqueue([send.job(n) for n in range(2)])

    ended = terminal("jobs", "move", "--state", "available", "--to", "other")

    assert ended.code == 2
    assert "move 2 jobs in state available? Say --yes" in ended.err
    assert states(app) == {"available": 2}


def test_a_dry_run_by_id_changes_nothing(terminal: Terminal, app: App) -> None:
    handle = app.enqueue(send.job(1))

    assert terminal.ok("jobs", "cancel", handle.id, "--dry-run") == f"{handle.id} available\n"
    assert states(app) == {"available": 1}


def test_moves_and_reprioritises(terminal: Terminal, app: App) -> None:
    handles = app.enqueue([send.job(n) for n in range(3)])

    assert terminal.ok("jobs", "move", "-q", "mail", "--to", "slow", "-y") == "3 available\n"
    ids = [handle.id for handle in handles[:2]]
    told = terminal.ok("jobs", "reprioritise", *ids, "--to", "-5")
    assert told == f"{ids[0]} available\n{ids[1]} available\n"

    jobs = app.execute(inspections.get(handles)).values()
    assert {job.queue for job in jobs} == {"slow"}
    assert sorted(job.priority for job in jobs) == [-5, -5, 0]


def test_purges_what_has_ended(terminal: Terminal, app: App, work: Work) -> None:
    app.enqueue(build.job(1), boom.job(1), boom.job(2))
    work()
    app.enqueue(send.job(1))

    assert terminal.ok("jobs", "purge", "--error", "RuntimeError", "-y") == "2 purged\n"
    assert states(app) == {"available": 1, "completed": 1}


def test_takes_running_jobs_away(
    terminal: Terminal, app: App, worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    handle = app.enqueue(hang.job(str(gate)))
    worker()
    eventually((tmp_path / "gate.pid").exists)
    terminal.ok("queues", "pause", "default")

    text = terminal.ok("jobs", "release", "--running-longer-than", "0s", "-y")

    assert text == "1 available\n"
    job = app.execute(inspections.get([handle]))[handle.id]
    assert (job.state, job.attempt, job.worker) == ("available", 0, None)
    gate.touch()


def test_lists_by_the_same_filter(terminal: Terminal, app: App, work: Work) -> None:
    app.enqueue([boom.job(n) for n in range(3)])
    work()
    app.enqueue([send.job(n).options(tags=["t"]) for n in range(5)])

    def ids(*words: str) -> list[int]:
        return [job["id"] for job in terminal("jobs", "list", *words, "--json").json]

    assert len(ids("--error", "RuntimeError")) == 3
    assert len(ids("--arg", "order_id=2")) == 2
    newest = ids("--tag", "t", "--limit", "2")
    assert len(newest) == 2
    assert ids("--tag", "t", "--before", str(newest[-1]), "-n", "2") == [
        newest[-1] - 1,
        newest[-1] - 2,
    ]
    assert ids("--state", "discarded", "--state", "available", "--queue", "mail") == ids(
        "-q", "mail"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--older-than", "soon"], "90d, 12h, 1h30m or 45s"),
        (["--arg", "user"], "compares nothing"),
        (["--arg", "user..id=7"], "leads nowhere"),
        (["--arg", "user=[1]"], "compare with a text"),
        (["--arg", "user=1", "--arg", "user.id=7"], "a value and an object at once"),
        (["--queue", "no queue"], "a name has 1 to 128"),
        (["--state", "gone"], "is not one of"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_filter_that_cannot_be_is_refused(
    terminal: Terminal, app: App, words: list[str], said: str
) -> None:
    ended = terminal("jobs", "cancel", *words, "--yes")

    assert ended.code == 2
    assert said in ended.err


@pytest.mark.timeout(240)
def test_an_interruption_loses_nothing(app: App, start: Start, terminal: Terminal) -> None:
    """Interrupted while a portion is under way, as often as it takes; the counts are exact."""
    app.enqueue([build.job(n) for n in range(8_000)])
    lines: list[Any] = []
    interrupted = 0
    while interrupted < 3:
        process = start(
            "-c",
            "from pgqueue.cli import main; main()",
            "jobs",
            "cancel",
            "--task",
            "build",
            "-y",
            "--json",
        )
        process.says('"batch":1')
        process.send(signal.SIGINT)
        code = process.ends()
        found = re.findall(r"^{.*}$", process.output, re.MULTILINE)
        lines += map(json.loads, found)
        if code == 0:
            break
        interrupted += 1
        assert "interrupted after" in process.output
        assert app.jobs.count(Filter(state="cancelled")).jobs >= sum(
            line["answers"]["cancelled"] for line in lines
        )
    terminal.ok("jobs", "cancel", "--task", "build", "--yes")

    assert interrupted
    assert app.jobs.count(Filter(state="cancelled"), most=100_000) == (8_000, True)
    assert app.jobs.count(Filter(state="available")) == (0, True)


def test_a_statement_timeout_is_enough(app: App, postgres_url: str, terminal: Terminal) -> None:
    app.enqueue([build.job(n) for n in range(3_000)])
    is_set(postgres_url, statement_timeout="'1s'")

    assert terminal.ok("jobs", "cancel", "--task", "build", "-y") == "3,000 cancelled\n"
