"""`pgqueue queues` and `pgqueue workers`."""

from __future__ import annotations

from collections.abc import Callable

from pgqueue import App, inspections
from tests.cli.conftest import Start
from tests.cli.shop import send
from tests.cli.terminal import Terminal


def test_lists_queues_that_have_jobs(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1))
    assert "mail" in terminal.ok("queues", "list")
    [queue] = terminal("queues", "list", "--json").json
    assert queue == {"name": "mail", "paused_at": None, "workers": 0}


def test_says_when_there_is_nothing(terminal: Terminal) -> None:
    assert terminal.ok("queues", "list") == "no queues yet\n"
    assert terminal.ok("workers") == "no workers\n"
    assert terminal("workers", "--json").json == []


def test_a_paused_queue_hands_out_nothing(
    terminal: Terminal, app: App, work: Callable[..., None]
) -> None:
    handle = app.enqueue(send.job(1))
    assert terminal.ok("queues", "pause", "mail") == "mail paused\n"
    work()
    assert app.execute(inspections.get([handle]))[handle.id].state == "available"
    assert terminal("queues", "list", "--json").json[0]["paused_at"] is not None

    answer = terminal("queues", "resume", "mail", "--json").json
    assert answer == [{"name": "mail", "paused": False}]
    work()
    assert app.execute(inspections.get([handle]))[handle.id].state == "completed"


def test_a_name_that_cannot_be_is_misuse(terminal: Terminal) -> None:
    ended = terminal("queues", "pause", "no name")
    assert ended.code == 2
    assert "is no name" in ended.err


def test_shows_who_works(terminal: Terminal, worker: Start) -> None:
    process = worker("--queues", "mail,default:5", "--name", "till")
    process.says("worker \\d+ leads")
    [shown] = terminal("workers", "--json").json
    assert (shown["name"], shown["pid"]) == ("till", process.pid)
    assert shown["queues"] == ["mail", "default"]
    assert shown["leads"] is True
    assert "till" in terminal.ok("workers")
