"""`pgqueue status`."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import App, operations
from pgqueue.jobs.limits import Limits, Rate
from pgqueue.jobs.tally import Series
from pgqueue.operations.tallying import MINUTE, TallyRow, minute_of, tally
from pgqueue.views import status
from pgqueue.views.charts import last_hour
from tests.cli.conftest import Start
from tests.cli.shop import boom, send
from tests.cli.terminal import Terminal

Work = Callable[..., None]
COMMAND = "from pgqueue.cli import main; main()"


def test_counts_by_queue_and_state(terminal: Terminal, app: App) -> None:
    app.enqueue([send.job(n) for n in range(3)])
    app.enqueue(boom.job(1).options(delay=1000))
    status = terminal("status", "--json").json
    queues = {queue["name"]: queue for queue in status["queues"]}
    assert queues["mail"]["counts"] == {"available": 3}
    assert queues["mail"]["oldest_due_seconds"] > 0
    assert queues["default"]["counts"] == {"scheduled": 1}
    assert queues["default"]["oldest_due_seconds"] is None
    assert status["exact"] is True
    text = terminal.ok("status")
    assert "mail" in text
    assert "no workers" in text


def test_measures_the_last_minute(terminal: Terminal, app: App, work: Work) -> None:
    app.enqueue([send.job(n) for n in range(6)])
    app.enqueue(boom.job(1))
    work()
    lately = terminal("status", "--json").json["last_minute"]
    assert lately["completed"]["count"] == 6
    assert lately["completed"]["per_second"] == 0.1
    assert lately["completed"]["waited_p99_seconds"] >= lately["completed"]["waited_p50_seconds"]
    assert lately["discarded"]["count"] == 1
    assert "completed" in terminal.ok("status")


def test_names_workers_leader_and_version(terminal: Terminal, worker: Start) -> None:
    process = worker("--name", "till")
    process.says("leads")
    status = terminal("status", "--json").json
    assert [shown["name"] for shown in status["workers"]] == ["till"]
    assert status["leader"] == status["workers"][0]["id"]
    assert status["schema"]["version"] == status["schema"]["head"]


def test_counts_that_stop_short_are_marked(
    terminal: Terminal, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.enqueue([send.job(n) for n in range(3)])
    monkeypatch.setattr(status, "MOST_COUNTED", 2)
    assert terminal("status", "--json").json["exact"] is False
    assert "≥2" in terminal.ok("status")


def test_limits_are_shown_with_what_is_used_and_by_whom(terminal: Terminal, app: App) -> None:
    app.execute(operations.declare_limits("mail", Limits(2, Rate(5, 60), key_concurrency=1)))
    app.enqueue([send.job(n).options(key=f"tenant-{n % 3 // 2}") for n in range(6)])
    claimed = app.execute(operations.claim_in_turn("mail", 1, 1, 5))
    assert len(claimed.jobs) == 2

    [queue] = terminal("status", "--json").json["queues"]

    assert queue["limits"]["concurrency"] == 2
    assert queue["usage"] == {
        "running": 2,
        "started": 2,
        "exact": True,
        "keys": [
            {"key": key, "waiting": waiting, "running": 1, "exact": True}
            | {"started": None, "limits": None}
            for key, waiting in (("tenant-0", 3), ("tenant-1", 1))
        ],
    }
    text = terminal.ok("status")
    assert re.search(r"mail +4 +2 of 2 +2 of 5/60s", text)
    assert re.search(r"tenant-0 +3 +1 of 1", text)
    assert "more than were looked at" not in text


def test_more_keys_than_are_looked_at_are_said_to_be_there(terminal: Terminal, app: App) -> None:
    app.execute(operations.declare_limits("mail", Limits(2)))
    app.enqueue([send.job(n).options(key=f"tenant-{n}") for n in range(1_001)])

    assert "there are more than were looked at" in terminal.ok("status")
    [queue] = terminal("status", "--json").json["queues"]
    assert (len(queue["usage"]["keys"]), queue["usage"]["exact"]) == (5, False)


def test_watch_looks_again_and_again(terminal: Terminal, start: Start, app: App) -> None:
    process = start("-c", COMMAND, "status", "--watch", "--json", "--interval", 0.1)
    process.says('"queues":\\[\\]')
    app.enqueue(send.job(1))
    process.says('"counts":{"available":1}')
    process.send(signal.SIGINT)
    assert process.ends() == 0
    looks = [json.loads(line) for line in process.output.splitlines()]
    assert len(looks) >= 2


def test_watch_is_a_live_view_that_ctrl_c_ends(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1))
    screen = _Screen(terminal, "status", "--watch", "--interval", "0.1")
    screen.shows("available")
    screen.shows("mail")
    screen.types(b"\x03")
    assert screen.ends() == 0
    assert "Traceback" not in screen.text


def test_watch_draws_the_last_hour_from_what_workers_counted(terminal: Terminal, app: App) -> None:
    for minutes, jobs in ((41, 300), (31, 1_200), (11, 600)):
        counted = Series("mail", "send", {"completed": jobs - 1, "retried": 1})
        counted.waited.add(0.1 * minutes, jobs)
        at = minute_of(datetime.now(UTC)) - timedelta(minutes=minutes)
        app.execute(tally([TallyRow(at, MINUTE, 7, counted)]))
    screen = _Screen(terminal, "status", "--watch", "--interval", "0.1")
    screen.shows("2,100")
    screen.shows("▃    █         ▅")
    screen.shows("5.6 s")  # at worst, to within a bucket
    screen.types(b"\x03")
    assert screen.ends() == 0
    assert "last hour" not in terminal.ok("status")


def test_the_last_hour_is_read_from_the_tally_alone(app: App) -> None:
    plan = last_hour(datetime.now(UTC))
    asked = []
    with suppress(StopIteration):
        operation = next(plan)
        while True:
            asked.append(operation.name)
            operation = plan.send([])
    assert asked == ["tallied"]


def test_colours_are_for_terminals_that_want_them(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1))
    coloured = _Screen(terminal, "status")
    assert coloured.ends() == 0
    assert "\x1b[34m" in coloured.text  # blue: available
    plain = _Screen(terminal, "status", NO_COLOR="1")
    assert plain.ends() == 0
    assert "\x1b[34m" not in plain.text
    assert "\x1b" not in terminal.ok("status")


class _Screen:
    """A command on a terminal of its own."""

    def __init__(self, terminal: Terminal, *words: str, **variables: str) -> None:
        self.text = ""
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.environ |= {"PGQUEUE_URL": str(terminal.url), "TERM": "xterm", "COLUMNS": "120"}
            os.environ |= variables
            os.execv(sys.executable, [sys.executable, "-c", COMMAND, *words])

    def shows(self, text: str) -> None:
        while text not in self.text:
            self._read()

    def types(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def ends(self) -> int:
        """Reads to the end; answers the exit code."""
        try:
            while True:
                self._read()
        except OSError:  # what Linux says at the end
            pass
        os.close(self._screen)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> None:
        self.text += os.read(self._screen, 4096).decode("utf-8", "replace")
