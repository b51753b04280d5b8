"""`pgqueue doctor`."""

from __future__ import annotations

import json

from pgqueue import App
from tests.cli.conftest import Start
from tests.cli.shop import send
from tests.cli.terminal import Terminal


def test_says_that_all_is_well(terminal: Terminal, worker: Start) -> None:
    worker().says("leads")
    text = terminal.ok("doctor")
    assert "a notification took" in text
    assert "1 present" in text
    assert "✗" not in text

    findings = terminal("doctor", "--json").json
    assert {finding["level"] for finding in findings} == {"ok"}
    assert {"check", "level", "message", "cure"} == set(findings[0])


def test_a_warning_is_no_failure(terminal: Terminal, app: App) -> None:
    app.enqueue(send.job(1))
    text = terminal.ok("doctor")
    assert "no worker serves mail" in text
    assert "--queues mail" in text


def test_an_error_is_exit_code_1(empty_url: str) -> None:
    ended = Terminal(empty_url)("doctor", "--json")
    assert ended.code == 1
    [finding] = json.loads(ended.out)
    assert finding["check"] == "schema"
    assert "pgqueue migrate" in Terminal(empty_url)("doctor").out
