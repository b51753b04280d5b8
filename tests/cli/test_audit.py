"""What commands do is noted, and `pgqueue audit` shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pgqueue import App
from pgqueue.jobs.graphs import workflow
from pgqueue.jobs.job import NewJob
from pgqueue.managing.actors import this_user
from tests.cli.conftest import Start
from tests.cli.shop import send
from tests.cli.terminal import Terminal


def notes(terminal: Terminal, *words: str) -> list[dict[str, Any]]:
    """All there are, the oldest first."""
    found: list[dict[str, Any]] = terminal("audit", "--json", *words).json
    return found[::-1]


def said(terminal: Terminal) -> list[tuple[str, ...]]:
    return [(n["verb"], n["target"] or n["filter"], n["answer"]) for n in notes(terminal)]


def test_every_command_that_acts_on_jobs_is_noted(terminal: Terminal, app: App) -> None:
    one, *_ = ids = [handle.id for handle in app.enqueue([send.job(n) for n in range(3)])]
    terminal.ok("jobs", "reprioritise", one, "--to", "3")
    terminal.ok("jobs", "move", one, "--to", "slow")
    terminal.ok("jobs", "cancel", *ids, "--reason", "sold out", "--by", "ann")
    terminal.ok("jobs", "retry", "--state", "cancelled", "--yes")
    terminal.ok("jobs", "cancel", "--queue", "mail", "--dry-run")
    terminal.ok("jobs", "cancel", "--queue", "slow", "--yes")
    terminal.ok("jobs", "purge", one)

    assert said(terminal) == [
        ("reprioritise", f"job {one}", "to priority 3: 1 available"),
        ("move", f"job {one}", "to queue slow: 1 available"),
        ("cancel", ", ".join(map(str, ids)), "3 cancelled"),
        ("retry", "in state cancelled", "3 available"),
        ("cancel", "in queue slow", "1 cancelled"),
        ("purge", f"job {one}", "1 purged"),
    ]
    [cancelled] = [n for n in notes(terminal) if n["who"] == "ann"]
    assert (cancelled["reason"], cancelled["count"]) == ("sold out", 3)


def test_so_is_what_is_done_to_queues_schedules_and_workflows(terminal: Terminal, app: App) -> None:
    app.schedules.put("digest", "@daily", NewJob[Any]("digest"), by="code")
    [first, *_] = app.enqueue(workflow("flow", [send.job(1), send.job(2)]))
    [flow] = [n["id"] for n in terminal("workflows", "list", "--json").json]
    terminal.ok("queues", "pause", "mail", "--reason", "down")
    terminal.ok("queues", "resume", "--all")
    terminal.ok("queues", "limit", "mail", "--concurrency", "3")
    terminal.ok("queues", "limit", "mail", "--key", "k", "--concurrency", "1")
    terminal.ok("queues", "set", "news", "--lowest-share", "0.1")
    for verb in ("pause", "resume", "run"):
        terminal.ok("schedules", verb, "digest")
    terminal.ok("schedules", "change", "digest", "@hourly")
    terminal.ok("schedules", "reset", "digest")
    terminal.ok("workflows", "cancel", flow, "--yes")
    terminal.ok("workflows", "retry", flow, "--yes")
    terminal.ok("adopt")

    made, *others = said(terminal)
    assert made == ("put", "schedule digest", "changed")
    assert others[-1][2] == "at home here"
    assert [(verb, target) for verb, target, _ in others] == [
        ("pause", "queue mail"),
        ("resume", "queue mail"),
        ("limit", "queue mail"),
        ("limit", "queue mail"),
        ("limit", "queue news"),
        ("pause", "schedule digest"),
        ("resume", "schedule digest"),
        ("run", "schedule digest"),
        ("change", "schedule digest"),
        ("reset", "schedule digest"),
        ("cancel", f"workflow {flow}"),
        ("retry", f"workflow {flow}"),
        ("adopt", None),
    ]
    assert first.id


def test_each_of_them_may_say_why(terminal: Terminal, app: App, tmp_path: Path) -> None:
    app.schedules.put("digest", "@daily", NewJob[Any]("digest"))
    [first, *_] = app.enqueue(workflow("flow", [send.job(1), send.job(2)]))
    [flow] = [n["id"] for n in terminal("workflows", "list", "--json").json]
    dump = tmp_path / "jobs.dump"
    terminal.ok("jobs", "dump", dump)
    past = ("--since", "2020-01-01T00:10:00Z", "--until", "2020-01-01T00:20:00Z", "--force")
    acts: list[tuple[object, ...]] = [
        *(("queues", verb, "mail") for verb in ("pause", "resume")),
        ("queues", "limit", "mail", "--concurrency", "3"),
        ("queues", "set", "mail", "--lowest-share", "0.1"),
        *(("schedules", verb, "digest") for verb in ("pause", "resume", "run", "reset")),
        ("schedules", "change", "digest", "@hourly"),
        ("schedules", "backfill", "digest", *past),
        *(("workflows", verb, flow, "--yes") for verb in ("cancel", "retry")),
        ("jobs", "reprioritise", first.id, "--to", "3"),
        ("jobs", "move", first.id, "--to", "slow"),
        ("jobs", "cancel", first.id),
        ("jobs", "retry", "--state", "cancelled", "--yes"),
        ("jobs", "import", dump),
        ("adopt",),
    ]
    for number, act in enumerate(acts):
        terminal.ok(*act, "--reason", f"reason {number}")

    reasons = {n["reason"] for n in notes(terminal, "-n", "100")}
    assert [act for n, act in enumerate(acts) if f"reason {n}" not in reasons] == []


def test_who_acts_is_the_user_unless_it_is_said(terminal: Terminal, app: App) -> None:
    terminal.ok("queues", "pause", "a")
    terminal.ok("queues", "pause", "a", PGQUEUE_ACTOR="deploy")
    terminal.ok("queues", "pause", "a", "--by", "ann", PGQUEUE_ACTOR="deploy")

    assert [n["who"] for n in notes(terminal)] == [this_user(), "deploy", "ann"]
    refused = terminal("queues", "pause", "a", "--by", "")
    assert refused.code == 2
    assert "--by: who acts has a name" in refused.err


def test_shows_what_was_done_to_one_a_page_at_a_time(terminal: Terminal, app: App) -> None:
    assert terminal.ok("audit") == "nothing yet\n"
    terminal.ok("queues", "pause", "a", "b", "--by", "ann", "--reason", "down")
    terminal.ok("queues", "resume", "a", "--by", "bob")

    text = terminal.ok("audit", "queue a")

    words = [line.split() for line in text.splitlines()[2:]]
    assert [(line[-5], line[-4], line[-3:]) for line in words[:1]] == [
        ("bob", "resume", ["queue", "a", "resumed"])
    ]
    assert words[1][-6:] == ["ann", "pause", "queue", "a", "paused", "down"]
    [newest] = terminal("audit", "--json", "-n", "1").json
    assert (newest["who"], newest["verb"]) == ("bob", "resume")
    rest = notes(terminal, "--before", str(newest["id"]))
    assert [n["target"] for n in rest] == ["queue a", "queue b"]


def test_workers_are_asked_to_be_quiet_to_go_on_and_to_stop(
    terminal: Terminal, app: App, worker: Start
) -> None:
    process = worker("--name", "till")
    process.says("leads")
    assert "till" in terminal.ok("workers")
    [document] = terminal("workers", "--json").json
    assert document["asked"] is None

    text = terminal.ok("workers", "quiet", "till", "--reason", "a deploy", "--by", "ann")
    assert text == "till claims nothing more\n"
    process.says("asked to claim nothing more")
    assert "quiet" in terminal.ok("workers", "list")
    assert terminal.ok("workers", "resume", document["id"]) == "till claims again\n"
    process.says("asked to claim again")
    unknown = terminal("workers", "stop", "4711")
    assert (unknown.code, "no worker 4711" in unknown.err) == (1, True)
    assert terminal.ok("workers", "stop", "--all") == "till is to stop\n"
    assert process.ends() == 0

    assert said(terminal) == [
        ("quiet", "worker till", "claims nothing more"),
        ("resume", "worker till", "claims again"),
        ("stop", "worker till", "is to stop"),
    ]
    assert (notes(terminal)[0]["who"], notes(terminal)[0]["reason"]) == ("ann", "a deploy")
