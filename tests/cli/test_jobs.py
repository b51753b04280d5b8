"""`pgqueue jobs`: list, show, cancel, retry."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from pgqueue import App
from pgqueue.operations import inspections
from tests.cli.conftest import Start
from tests.cli.shop import boom, build, hang, refuse, send
from tests.cli.terminal import Terminal, eventually

Work = Callable[..., None]


def test_lists_the_newest_first(terminal: Terminal, app: App) -> None:
    first, second = app.enqueue(send.job(1), build.job(pages=4))
    assert [job["id"] for job in terminal("jobs", "list", "--json").json] == [second.id, first.id]
    text = terminal.ok("jobs", "list")
    assert text.index("build") < text.index("send")
    assert '{"order_id": 1}' in text


def test_an_empty_list_says_so(terminal: Terminal) -> None:
    assert terminal.ok("jobs", "list") == "no jobs\n"
    assert terminal("jobs", "list", "--json").json == []


def test_filters_by_state_queue_task_and_tag(terminal: Terminal, app: App) -> None:
    tagged, plain, later = app.enqueue(
        send.job(1).options(tags=["vip"]), boom.job(1), send.job(2).options(delay=1000)
    )

    def listed(*filters: str) -> list[int]:
        return [job["id"] for job in terminal("jobs", "list", "--json", *filters).json]

    assert listed("--tag", "vip") == [tagged.id]
    assert listed("--task", "boom") == [plain.id]
    assert listed("--queue", "mail") == [later.id, tagged.id]
    assert listed("--queue", "mail", "--state", "scheduled") == [later.id]
    assert listed("--queue", "nowhere") == []


def test_pages_go_on_before_an_id(terminal: Terminal, app: App) -> None:
    handles = app.enqueue([send.job(n) for n in range(5)])
    page = terminal("jobs", "list", "--json", "--limit", 2).json
    following = terminal("jobs", "list", "--json", "--limit", 2, "--before", page[-1]["id"]).json
    assert [job["id"] for job in page + following] == [h.id for h in reversed(handles[1:])]


def test_instants_are_iso_in_json(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1))
    [job] = terminal("jobs", "list", "--json").json
    assert datetime.fromisoformat(job["run_at"]).tzinfo is not None


def test_shows_arguments_result_and_progress(terminal: Terminal, app: App, work: Work) -> None:
    handle = app.enqueue(build.job(pages=8))
    work()
    shown = terminal("jobs", "show", handle.id, "--json").json
    assert shown["state"] == "completed"
    assert shown["args"] == {"pages": 8}
    assert shown["result"] == "built"
    assert shown["progress"] == {"fraction": 0.5, "note": "page 4", "checkpoint": {"page": 4}}
    text = terminal.ok("jobs", "show", handle.id)
    for part in ('{"pages":8}', '"built"', "50%", "page 4", "completed"):
        assert part in text


def test_shows_errors_with_their_tracebacks(terminal: Terminal, app: App, work: Work) -> None:
    handle = app.enqueue(boom.job(7))
    work()
    text = terminal.ok("jobs", "show", handle.id)
    assert "discarded" in text
    assert "RuntimeError: order 7 is broken" in text
    assert "shop.py" in text
    [error] = terminal("jobs", "show", handle.id, "--json").json["errors"]
    assert error["type"] == "RuntimeError"
    assert "Traceback" in error["traceback"]


def test_shows_what_a_job_waits_for(terminal: Terminal, app: App) -> None:
    parent = app.enqueue(send.job(1))
    child = app.enqueue(build.job(pages=1).after(parent))
    shown = terminal("jobs", "show", child.id, "--json").json
    assert shown["blocked_by"] == 1
    assert [edge["id"] for edge in shown["parents"]] == [parent.id]
    assert "1 more" in terminal.ok("jobs", "show", child.id)


def test_a_missing_job_is_an_error(terminal: Terminal) -> None:
    ended = terminal("jobs", "show", 4711)
    assert ended.code == 1
    assert "no job 4711" in ended.err


def test_cancels_several_and_answers_for_each(terminal: Terminal, app: App) -> None:
    handles = app.enqueue([send.job(n) for n in range(2)])
    ids = [handle.id for handle in handles]
    text = terminal.ok("jobs", "cancel", *ids, "--reason", "sold out")
    assert text == f"{ids[0]} cancelled\n{ids[1]} cancelled\n"
    shown = terminal("jobs", "show", ids[0], "--json").json
    assert shown["reason"] == "sold out"


def test_what_cannot_be_cancelled_is_told_and_fails(terminal: Terminal, app: App) -> None:
    handle = app.enqueue(send.job(1))
    terminal.ok("jobs", "cancel", handle.id)
    ended = terminal("jobs", "cancel", handle.id, 4711)
    assert ended.code == 1
    assert ended.out == f"{handle.id} cancelled already\n4711 not found\n"
    assert "2 of 2 jobs could not" in ended.err


def test_retries_what_was_discarded(terminal: Terminal, app: App, work: Work) -> None:
    handles = app.enqueue(boom.job(1), refuse.job())
    work()
    answers = terminal("jobs", "retry", *(h.id for h in handles), "--json").json
    assert [answer["answer"] for answer in answers] == ["available", "available"]
    assert all(answer["ok"] for answer in answers)
    found = app.execute(inspections.get(handles))
    assert {job.state for job in found.values()} == {"available"}


def test_a_filter_acts_on_all_that_match(terminal: Terminal, app: App, work: Work) -> None:
    app.enqueue([boom.job(n) for n in range(3)])
    app.enqueue(refuse.job())
    work()
    batch = terminal("jobs", "retry", "--queue", "default", "--yes", "--json").json
    assert batch["answers"] == {"available": 3}
    assert len(batch["jobs"]) == 3
    left = terminal("jobs", "list", "--state", "discarded", "--json").json
    assert [job["task"] for job in left] == ["refuse"]


def test_a_filter_reaches_beyond_one_page(terminal: Terminal, app: App) -> None:
    app.enqueue([send.job(n) for n in range(1_500)])
    app.enqueue(send.job(0).options(delay=1000))
    ended = terminal("jobs", "cancel", "--task", "send", "--yes", "--json")
    batches = [json.loads(line) for line in ended.out.splitlines()]
    assert [batch["batch"] for batch in batches] == [1, 2, 3, 4]
    assert [batch["answers"]["cancelled"] for batch in batches] == [500, 500, 500, 1]
    assert len({job["id"] for batch in batches for job in batch["jobs"]}) == 1_501
    assert terminal.ok("jobs", "cancel", "--task", "send", "--yes") == "no jobs of task send\n"


def test_a_filter_wants_a_yes(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1))
    ended = terminal("jobs", "cancel", "--queue", "mail")
    assert ended.code == 2
    assert "--yes" in ended.err
    assert [job["state"] for job in terminal("jobs", "list", "--json").json] == ["available"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a terminal")
@pytest.mark.parametrize(("answer", "state"), [(b"y\n", "cancelled"), (b"n\n", "available")])
def test_a_terminal_is_asked(terminal: Terminal, app: App, answer: bytes, state: str) -> None:
    app.enqueue(send.job(1))
    script = "from pgqueue.cli import main; main()"
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["PGQUEUE_URL"] = str(terminal.url)
        os.execv(sys.executable, [sys.executable, "-c", script, "jobs", "cancel", "-q", "mail"])
    shown = b""
    while b"cancel 1 job in queue mail?" not in shown:
        shown += os.read(screen, 1024)
    os.write(screen, answer)
    _, code = os.waitpid(pid, 0)
    os.close(screen)
    assert (code == 0) == (state == "cancelled")
    assert [job["state"] for job in terminal("jobs", "list", "--json").json] == [state]


@pytest.mark.parametrize("words", [["cancel"], ["retry"], ["cancel", "7", "--queue", "mail"]])
def test_either_ids_or_a_filter_is_needed(terminal: Terminal, words: list[str]) -> None:
    ended = terminal("jobs", *words)
    assert ended.code == 2
    assert "either ids or a filter" in ended.err


def test_a_running_job_is_asked_to_stop(
    terminal: Terminal, app: App, worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    handle = app.enqueue(hang.job(str(gate)))
    worker()
    eventually((tmp_path / "gate.pid").exists)
    assert terminal.ok("jobs", "cancel", handle.id) == f"{handle.id} asked to stop\n"
    gate.touch()
