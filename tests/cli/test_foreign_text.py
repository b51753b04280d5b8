"""What others have written commands nobody's terminal, and forges no line of a log."""

from __future__ import annotations

import json
import logging
import re
import sys

import psycopg
import pytest

from pgqueue import App
from pgqueue.cli.logs import JsonFormatter, LineFormatter
from pgqueue.cli.printable import printable, printable_json
from tests.cli.shop import send
from tests.cli.terminal import Terminal

ORDERS = "\x1b]0;owned\x07 \x1b[2J \x9b31m \r\b\x7f \u202egnp.exe [red]loud[/red] [/] :bomb:"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def job(app: App, postgres_url: str) -> int:
    """A job of which every text is foreign: also what no constraint keeps out."""
    [handle] = app.enqueue([send.job(1).options(unique=ORDERS, metadata={ORDERS: ORDERS})])
    error = {"type": ORDERS, "message": f"{ORDERS}\n{ORDERS}", "traceback": f"at\n{ORDERS}"}
    more = {"attempt": 1, "at": "2030-01-01T00:00:00Z", "worker": 1}
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "UPDATE pgqueue.job SET reason = %s, errors = %s, progress = %s, args = %s",
            [
                ORDERS,
                json.dumps([error | more]),
                json.dumps({"fraction": 0.5, "note": ORDERS, "checkpoint": ORDERS}),
                json.dumps({"order_id": ORDERS}),
            ],
        )
        profile = [ORDERS, ORDERS, [ORDERS]]
        connection.execute(
            "INSERT INTO pgqueue.worker (pid, started_at, heartbeat_at, name, host, queues)"
            " VALUES (1, now(), now(), %s, %s, %s)",
            profile,
        )
        connection.execute("INSERT INTO pgqueue.queue VALUES (%s, now())", [ORDERS])
    return handle.id


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "list"),
        ("jobs", "show", "JOB"),
        ("why", "JOB"),
        ("status",),
        ("queues", "list"),
        ("workers",),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_no_command_prints_what_a_terminal_obeys(
    terminal: Terminal, job: int, words: tuple[str, ...], as_json: bool
) -> None:
    asked = [str(job) if word == "JOB" else word for word in words]
    answer = terminal(*asked, *(["--json"] if as_json else []))

    assert not OBEYED.findall(answer.out + answer.err), repr(answer.out + answer.err)
    if as_json:
        json.loads(answer.out)


def test_markup_is_shown_as_it_was_written(terminal: Terminal, job: int) -> None:
    shown = terminal.ok("jobs", "show", str(job))

    assert shown.count("[red]loud[/red] [/] :bomb:") >= 5
    assert "\\x1b[2J" in shown


def test_an_error_of_a_command_repeats_no_order(terminal: Terminal) -> None:
    for words in (["jobs", "list", "--state", ORDERS], ["queues", "pause", ORDERS], [ORDERS]):
        answer = terminal(*words)
        assert answer.code != 0
        assert not OBEYED.findall(answer.out + answer.err), words


def a_record(message: str) -> logging.LogRecord:
    try:
        raise ValueError(f"{message}\n2030-01-01T00:00:00.000Z info pgqueue.worker[1] all is well")
    except ValueError:
        error = sys.exc_info()
    return logging.LogRecord("pgqueue", logging.ERROR, "", 1, "%s", (f"{message}\nx",), error)


def test_a_line_of_the_log_is_one_record() -> None:
    head, *traceback = LineFormatter().format(a_record(ORDERS)).split("\n")

    assert head.endswith("\\nx")
    assert "\\x1b[2J" in head
    assert not OBEYED.findall("".join([head, *traceback]))
    assert traceback[0] == "Traceback (most recent call last):"
    assert not any(re.match(r"\d{4}-", line) for line in traceback)


def test_the_log_in_json_says_the_same() -> None:
    line = JsonFormatter().format(a_record(ORDERS))

    assert not OBEYED.findall(line)
    assert json.loads(line)["message"] == f"{ORDERS}\nx"


def test_what_is_harmless_stays() -> None:
    assert printable("Grüße, 東京 🎉 [x]") == "Grüße, 東京 🎉 [x]"
    assert printable("a\tb\nc", lines=True) == "a\tb\nc"
    assert printable("a\tb\r\nc") == "a\\tb\\r\\nc"
    assert printable("\ud800") == "\\ud800"
    assert json.loads(printable_json('{"a": "\x9b\u202e"}')) == {"a": "\x9b\u202e"}
