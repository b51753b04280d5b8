"""A terminal that has not all characters: a container without a locale, an old console."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from pgqueue import App
from pgqueue.cli import output
from tests.cli.shop import send

TEXT = "日本語 … naïve \N{GRINNING FACE}"


def told(url: str, encoding: str, *words: object) -> tuple[int, str]:
    """The exit code of `pgqueue` and what it prints, on such a terminal."""
    plain = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": encoding,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "pgqueue", *map(str, words)],
        env={**os.environ, **plain, "PGQUEUE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return ended.returncode, ended.stdout.decode(encoding)


@pytest.fixture
def job(app: App) -> int:
    [handle] = app.enqueue([send.job(1).options(unique=TEXT, metadata={TEXT: TEXT})])
    return handle.id


COMMANDS = (
    ("jobs", "list"),
    ("why", "1"),
    ("status",),
    ("doctor",),
    ("queues", "list"),
    ("workflows", "list"),
    ("migrate", "--sql"),
    ("--help",),
)


def test_a_narrow_terminal_shows_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("python -m pgqueue.worker APP --queues a-long-name", "available")
    table = output.table("what helps", "state", "number", right=["number"])
    table.add_row(*words, "1")

    output.Printer(width=30).print(table)

    printed = Counter(capsys.readouterr().out)
    assert Counter("".join(words).replace(" ", "")) <= printed
    assert "…" not in printed


@pytest.mark.parametrize(("encoding", "commands"), [("ascii", COMMANDS), ("latin-1", COMMANDS[:2])])
def test_it_prints_plain_characters(
    postgres_url: str, job: int, encoding: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    assert job == 1
    for words in commands:
        code, printed = told(postgres_url, encoding, *words)
        assert (code, "Error" in printed) == (0, False), (words, printed)
    _, shown = told(postgres_url, encoding, "jobs", "show", job)
    assert "\\u65e5\\u672c\\u8a9e ... na" in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_says_the_same_there(postgres_url: str, job: int, encoding: str) -> None:
    code, printed = told(postgres_url, encoding, "jobs", "show", job, "--json")

    assert code == 0
    assert json.loads(printed)["metadata"] == {TEXT: TEXT}
    assert json.loads(printed)["unique_key"] == TEXT
