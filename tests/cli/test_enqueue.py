"""`pgqueue enqueue`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgqueue import App
from pgqueue.operations import inspections
from tests.cli.terminal import Terminal


def test_a_job_by_its_tasks_name_runs(
    terminal: Terminal, app: App, work: Callable[..., None]
) -> None:
    handle = terminal("enqueue", "send", '{"order_id": 7}', "--queue", "mail", "--json").json
    assert handle["task"] == "send"
    assert handle["created"] is True
    work()
    assert app.result(handle["id"], timeout=0) == {"sent": 7}


def test_takes_every_option(terminal: Terminal, app: App) -> None:
    parent = terminal("enqueue", "build", '{"pages": 1}', "--json").json["id"]
    options = "--priority -5 --delay 60 --max-attempts 3 --timeout 9 --unique k --tag a --tag b"
    words = [*options.split(), "--after", parent, "--json"]
    child = terminal("enqueue", "send", '{"order_id": 1}', *words).json["id"]
    job = app.execute(inspections.get([child]))[child]
    assert (job.priority, job.max_attempts, job.timeout_seconds) == (-5, 3, 9.0)
    assert (job.unique_key, job.tags, job.blocked_by) == ("k", ("a", "b"), 1)


def test_an_instant_is_taken_as_it_is_given(terminal: Terminal, app: App) -> None:
    words = ["--run-at", "2130-06-01T12:00:00+02:00", "--json"]
    id = terminal("enqueue", "refuse", *words).json["id"]
    job = app.execute(inspections.get([id]))[id]
    assert job.state == "scheduled"
    assert job.run_at.isoformat() == "2130-06-01T10:00:00+00:00"


def test_a_unique_key_answers_with_its_holder(terminal: Terminal) -> None:
    first = terminal.ok("enqueue", "refuse", "--unique", "once")
    id = first.split()[1]
    assert first == f"job {id} enqueued\n"
    assert terminal.ok("enqueue", "refuse", "--unique", "once") == (
        f"job {id} holds this key already\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["send", "{"],
        ["send", "[1]"],
        ["no name"],
        ["send", "--queue", "no name"],
        ["send", "--run-at", "tomorrow"],
        ["send", "--delay", "1", "--run-at", "2130-06-01T12:00:00Z"],
    ],
)
def test_what_cannot_be_a_job_is_misuse(terminal: Terminal, words: list[str]) -> None:
    ended = terminal("enqueue", *words)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert terminal("jobs", "list", "--json").json == []


def test_an_unknown_parent_is_an_error(terminal: Terminal) -> None:
    ended = terminal("enqueue", "refuse", "--after", 4711)
    assert ended.code == 1
    assert "no job 4711" in ended.err
