"""Commands: one line that says what is wrong, or what was asked is done. Never a traceback."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.terminal import Ended, Terminal
from tests.hostile.conftest import NAME, TEXT, count

hostile = settings(settings.get_profile("hostile"), max_examples=40)
OPTIONS = ["--queue", "--priority", "--delay", "--run-at", "--max-attempts", "--unique", "--tag"]


def ended_well(ended: Ended) -> bool:
    """Is it done? If not, one line says why."""
    assert ended.code in (0, 1, 2)
    if ended.code:
        assert len(ended.err.splitlines()) == 1, ended.err
        assert ended.err.startswith("Error: ")
        assert "unexpected" not in ended.err
        assert len(ended.err) < 2_000
    return ended.code == 0


@hostile
@given(
    task=NAME,
    args=st.one_of(st.just("{}"), TEXT),
    options=st.dictionaries(st.sampled_from(OPTIONS), st.one_of(NAME, st.just("1")), max_size=2),
)
def test_enqueues_or_says_why_not(
    url: str, connection: psycopg.Connection, task: str, args: str, options: dict[str, str]
) -> None:
    before = count(connection)
    words = [word for option in options.items() for word in option]

    done = ended_well(Terminal(url)("enqueue", *words, "--", task, args))

    connection.rollback()
    after = count(connection)
    connection.rollback()
    assert after - before <= 1
    assert after == before or done


@pytest.mark.parametrize(
    "command",
    [
        "jobs list --task {}",
        "jobs list --tag {}",
        "jobs list --queue {}",
        "jobs cancel --yes --tag {}",
        "jobs cancel 1 --reason {}",
        "queues pause -- {}",
        "workflows list --name {}",
        "status --schema {}",
        "why -- {}",
        "grant --reader {}",
        "jobs show -- {}",
    ],
)
@settings(settings.get_profile("hostile"), max_examples=15)
@given(text=TEXT)
def test_answers_whatever_is_asked(url: str, command: str, text: str) -> None:
    words = [text if word == "{}" else word for word in command.split()]
    ended_well(Terminal(url)(*words))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "postgresql://u:hunter2[@h/db",
        "postgresql://u:hun/ter2@h/db",
        "postgresql://u:hun@ter2@h/db",
        "postgresql://u:hunter2%zz@h/db",
        "postgresql://u:hunter2@h:port/db",
        "postgresql://u:hunter2@h/db?nonsense=1",
        "host=h password=hunter2",
        "u:hunter2@h/db",
        "mysql://u:hunter2@h/db",
        "postgresql://u:hunter2\0@h/db",
    ],
)
@pytest.mark.parametrize("command", ["status", "migrate", "doctor", "enqueue t", "migrate --check"])
def test_a_url_that_cannot_be_read_is_not_repeated(command: str, text: str) -> None:
    ended = Terminal(None)(*command.split(), "--url", text)

    assert ended.code
    assert command == "doctor" or not ended_well(ended)
    for part in ("hunter2", "ter2", "hun"):
        assert part not in ended.out + ended.err
