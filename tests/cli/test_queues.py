"""`pgqueue queues` and `pgqueue workers`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgqueue import App, operations
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.limits import KeyLimits
from pgqueue.operations import KeyException, inspections
from pgqueue.operations.auditing import audited
from pgqueue.testing.conformance import PROFILE
from tests.cli.conftest import Start
from tests.cli.shop import send
from tests.cli.terminal import Terminal


def test_lists_queues_that_have_jobs(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1))
    assert "mail" in terminal.ok("queues", "list")
    [queue] = terminal("queues", "list", "--json").json
    assert (queue["name"], queue["paused_at"], queue["workers"]) == ("mail", None, 0)
    assert (queue["limits"], queue["running"]) == (None, None)


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


def test_limits_are_changed_from_a_command_line(terminal: Terminal, app: App) -> None:
    rates = ("--rate", "100/60s", "--key-rate", "10/s")
    said = terminal.ok("queues", "limit", "mail", "--concurrency", "2", *rates, "--ordered")
    assert said == "mail: concurrency 2, rate 100/60s, rate a key 10/1s, ordered\n"
    told = terminal("queues", "limit", "mail", "--not-ordered", "--json").json
    assert told["limits"]["concurrency"] == 2
    assert told["limits"]["ordered"] is False
    assert "concurrency 2" in terminal.ok("queues", "list")

    key = ("queues", "limit", "mail", "--key", "tenant-7")
    said = terminal.ok(*key, "--concurrency", "1", "--weight", "3")
    assert said == "mail: key tenant-7: concurrency 1, weight 3\n"
    [note] = app.execute(audited(limit=1))
    assert note.answer == "key tenant-7: concurrency 1, weight 3"
    assert app.execute(operations.exceptions()) == [
        KeyException("mail", "tenant-7", KeyLimits(1, None, 3))
    ]
    assert terminal.ok(*key, "--none") == "mail: key tenant-7: as the others\n"
    assert terminal.ok("queues", "limit", "mail", "--none") == "mail: no limits\n"
    assert app.execute(operations.exceptions()) == []


def test_limits_that_are_only_read_are_not_noted(terminal: Terminal, app: App) -> None:
    terminal.ok("queues", "limit", "mail", "--concurrency", "2")
    assert terminal.ok("queues", "limit", "mail") == "mail: concurrency 2\n"
    assert terminal.ok("queues", "limit", "mail", "--reset") == "mail: no limits\n"
    notes = app.execute(audited())
    assert [note.answer for note in notes] == ["no limits", "concurrency 2"]


def test_a_lowest_share_is_set_and_taken_away(terminal: Terminal, app: App) -> None:
    assert "lowest share 0.1" in terminal.ok("queues", "set", "mail", "--lowest-share", "0.1")
    terminal.ok("queues", "limit", "mail", "--none")
    assert app.execute(operations.turns(["mail"])) == {"mail": operations.Terms(False, 0.1)}
    told = terminal("queues", "set", "mail", "--lowest-share", "0", "--json").json
    assert told == {"name": "mail", "limits": None}
    assert terminal("queues", "set", "mail", "--lowest-share", "1").code == 2


def test_why_names_the_limit_that_holds_a_job_up(terminal: Terminal, app: App) -> None:
    app.execute(operations.join(PROFILE | {"queues": ["mail"]}))
    one, two = app.enqueue([send.job(1), send.job(2)])
    terminal.ok("queues", "limit", "mail", "--concurrency", "1")
    app.execute(operations.claim_in_turn("mail", 1, 1, 10))
    assert "waits for the limit of queue mail: 1 of 1 run" in terminal.ok("why", str(two.id))

    terminal.ok("queues", "limit", "mail", "--none")
    terminal.ok("queues", "limit", "mail", "--rate", "1/1h")
    app.execute(operations.claim_in_turn("mail", 1, 2, 10))
    [late] = app.enqueue([send.job(3)])
    assert "1 have started within 3600 s, the next may in" in terminal.ok("why", str(late.id))

    terminal.ok("queues", "limit", "mail", "--none")
    terminal.ok("queues", "limit", "mail", "--ordered")
    first, second = app.enqueue([NewJob("send", queue="mail", key="k") for _ in range(2)])
    app.execute(operations.claim_in_turn("mail", 1, 3, 10))
    said = terminal.ok("why", str(second.id))
    assert f"waits its turn: key k waits for job {first.id}, which is running" in said
    assert one.id


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "fast"),
        ("--concurrency", "0"),
        ("--weight", "2"),
        ("--key", "k", "--ordered"),
        ("--none", "--concurrency", "2"),
        ("--key", "k" * 129),
    ],
)
def test_limits_that_cannot_be_are_misuse(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal("queues", "limit", "mail", *words).code == 2


def test_shows_who_works(terminal: Terminal, worker: Start) -> None:
    process = worker("--queues", "mail,default:5", "--name", "till")
    process.says("worker \\d+ leads")
    [shown] = terminal("workers", "--json").json
    assert (shown["name"], shown["pid"]) == ("till", process.pid)
    assert shown["queues"] == ["mail", "default"]
    assert shown["leads"] is True
    assert "till" in terminal.ok("workers")


def test_all_queues_are_paused_at_once(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1), NewJob("send", queue="other"))
    answer = terminal("queues", "pause", "--all", "--json").json
    assert {queue["name"] for queue in answer} == {"mail", "other"}
    assert all(queue["paused_at"] for queue in terminal("queues", "list", "--json").json)

    terminal.ok("queues", "resume", "--all")
    assert not any(queue["paused_at"] for queue in terminal("queues", "list", "--json").json)


def test_queues_are_named_or_all(terminal: Terminal) -> None:
    assert terminal("queues", "pause").code == 2
    assert terminal("queues", "pause", "mail", "--all").code == 2
