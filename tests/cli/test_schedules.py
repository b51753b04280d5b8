"""`pgqueue schedules`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import App, schedule
from pgqueue.backends.plans import carry_out
from pgqueue.operations import editing
from tests.cli.shop import send
from tests.cli.terminal import Terminal

NOW = datetime.now(UTC)


@pytest.fixture
def digest(app: App) -> App:
    """There is one, of every day in Berlin."""
    with app.backend.connect() as connection:
        schedule(connection, "digest", "every day at 9:00", send.job(7), zone="Europe/Berlin")
    return app


def test_says_when_there_is_nothing(terminal: Terminal) -> None:
    assert terminal.ok("schedules", "list") == "no schedules\n"
    assert terminal("schedules", "list", "--json").json == []


def test_lists_when_each_fires(terminal: Terminal, digest: App) -> None:
    text = terminal.ok("schedules", "list")
    assert "At 09:00 every day, Europe/Berlin" in text
    assert "09:00" in text
    assert "send" in text
    [row] = terminal("schedules", "list", "--json").json
    assert (row["name"], row["cron"], row["zone"]) == ("digest", "0 9 * * *", "Europe/Berlin")
    assert terminal.ok("schedules", "list", "--owner", "nobody") == "no schedules\n"


def test_shows_what_is_in_force_and_what_was_changed(terminal: Terminal, digest: App) -> None:
    terminal.ok("schedule", "change", "digest", "--jitter", "30", "--missed", "skip")
    terminal.ok("schedule", "run", "digest")

    text = terminal.ok("schedules", "show", "digest")
    for shown in ("every day at 9:00", '"jitter_seconds":30.0', "at run time", "manual", "skip"):
        assert shown in text
    shown = terminal("schedules", "show", "digest", "--json").json
    assert shown["changes"] == {"jitter_seconds": 30.0, "missed": "skip"}
    assert [firing["outcome"] for firing in shown["firings"]] == ["manual"]


def test_a_name_that_there_is_none_of_fails(terminal: Terminal) -> None:
    for words in (["show", "x"], ["pause", "x"], ["run", "x"], ["reset", "x"], ["next", "x"]):
        ended = terminal("schedules", *words)
        assert ended.code == 1
        assert "x: there is no schedule of this name" in ended.err


def test_pauses_and_resumes(terminal: Terminal, digest: App) -> None:
    assert terminal.ok("schedules", "pause", "digest", "--by", "ann") == "digest paused\n"
    assert terminal.ok("schedules", "pause", "digest") == "digest was paused\n"
    assert "paused by ann" in terminal.ok("schedules", "list")
    answer = terminal("schedules", "resume", "digest", "--catch-up", "--json").json
    assert answer == [{"name": "digest", "changed": True}]
    assert terminal.ok("schedules", "resume", "digest") == "digest was not paused\n"


def test_runs_now_unless_a_job_is_unfinished(terminal: Terminal, digest: App) -> None:
    job = terminal("schedules", "run", "digest", "--json").json["job"]
    assert f"job {job} is not finished" in terminal.ok("schedules", "run", "digest")
    another = terminal("schedules", "run", "digest", "--force", "--json").json
    assert (another["outcome"], another["job"] != job) == ("manual", True)


def test_changes_and_resets(terminal: Terminal, digest: App) -> None:
    changed = ["digest", "--cron", "0 8 * * 1-5", "--ends", "2099-01-01T00:00:00+00:00"]
    assert terminal.ok("schedules", "change", *changed) == "digest changed\n"
    assert terminal.ok("schedules", "change", *changed) == "digest is so already\n"
    assert terminal.ok("schedules", "change", "digest", "--ends", "none") == "digest changed\n"
    assert digest.schedules.show("digest").cron == "0 8 * * 1-5"
    assert terminal.ok("schedules", "reset", "digest") == "digest reset\n"
    assert terminal.ok("schedules", "reset", "digest") == "digest was not changed\n"
    assert digest.schedules.show("digest").cron == "0 9 * * *"


@pytest.mark.parametrize(
    ("words", "code", "because"),
    [
        (["digest"], 2, "say what is to change"),
        (["digest", "@daily", "--cron", "0 0 * * *"], 2, "not both"),
        (["digest", "--starts", "tomorrow"], 2, "is no instant"),
        (["digest", "--catch-up", "long"], 2, "no number of seconds"),
        (["digest", "every foo"], 1, "'foo' is not understood"),
        (["digest", "--zone", "Mordor"], 1, "Mordor"),
        (["digest", "--missed", "all"], 1, "overlap"),
    ],
)
def test_a_change_that_cannot_be_is_one_line(
    terminal: Terminal, digest: App, words: list[str], code: int, because: str
) -> None:
    ended = terminal("schedules", "change", *words)
    assert (ended.code, len(ended.err.splitlines())) == (code, 1)
    assert because in ended.err


def test_makes_up_for_the_past(terminal: Terminal, digest: App) -> None:
    since, until = (NOW - timedelta(days=3)).isoformat(), NOW.isoformat()
    words = ["schedules", "backfill", "digest", "--since", since, "--until", until]
    assert terminal.ok(*words) == "3 jobs\n"
    assert terminal(*words, "--json").json == []


def test_says_where_the_clocks_go_forward(terminal: Terminal) -> None:
    words = ["30 2 * * *", "--zone", "Europe/Berlin", "--since", "2026-03-28T00:00:00+00:00"]
    text = terminal.ok("schedules", "next", *words)
    assert "At 02:30 every day, Europe/Berlin" in text
    assert "the clocks go forward: the time it names is skipped, it runs at 03:00" in text
    remarks = [each["remark"] for each in terminal("schedules", "next", *words, "--json").json]
    assert [remark is None for remark in remarks] == [True, False, *[True] * 8]


def test_says_where_the_clocks_go_back(terminal: Terminal) -> None:
    words = ["--zone", "Europe/Berlin", "--since", "2026-10-24T12:00:00+00:00", "--count", "3"]
    fixed = terminal.ok("schedules", "next", "30 2 * * *", *words)
    assert "the clocks go back: 02:30 comes twice, it runs the first time only" in fixed
    real = terminal.ok("schedules", "next", "every 8 hours", *words)
    assert "the clocks have changed by -1 h since the one before: real time counts" in real


def test_the_next_of_a_schedule_that_there_is(terminal: Terminal, digest: App) -> None:
    found = terminal("schedules", "next", "digest", "--count", "2", "--json").json
    assert len(found) == 2
    assert "T09:00:00" in found[0]["local"]
    assert "2026" not in terminal.ok("schedules", "next", "@yearly", "--count", "1")


def test_what_cannot_be_read_is_one_line(terminal: Terminal) -> None:
    ended = terminal("schedules", "next", "every blue moon")
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
    assert "'blue' is not understood" in ended.err


def test_a_row_that_somebody_wrote_wrongly_hides_no_other(terminal: Terminal, digest: App) -> None:
    with digest.backend.connect() as connection:
        connection.execute(
            "INSERT INTO pgqueue.schedule (name, said, job, declared)"
            """ VALUES ('bad', '@daily', '{"task": "send"}', '{}')"""
        )
        connection.commit()
    text = terminal.ok("schedules", "list")
    assert "cannot be read" in text
    assert "At 09:00 every day" in text


def test_text_that_others_wrote_does_not_command_the_terminal(
    terminal: Terminal, digest: App
) -> None:
    with digest.backend.transaction() as executor:
        carry_out(editing.pause("digest", "\x1b[31mann"), executor.execute)
    for words in (["list"], ["show", "digest"]):
        assert "\x1b" not in terminal.ok("schedules", *words)
