"""A terminal that has not all characters: a container without a locale, an old console."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pgqueue import App, NewJob
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


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_closed_takes_no_connection(app: App, closed: str, tmp_path: Path) -> None:
    """As a service manager or a cron job may start it: a child's words must not reach the store."""
    file = tmp_path / "talks.py"
    file.write_text(
        "import os, subprocess\n"
        "from pgqueue import App\n"
        "app = App(os.environ['PGQUEUE_URL'])\n"
        "@app.task(max_attempts=1)\n"
        "def talk() -> str:\n"
        "    for number in 1, 2:\n"
        "        subprocess.run(['sh', '-c', f'echo words >&{number}'], check=True)\n"
        "    return os.readlink('/proc/self/fd/1')\n"
    )
    handle = app.enqueue(NewJob("talk"))
    environment = {**os.environ, "PGQUEUE_URL": str(app.url), "PYTHONPATH": str(tmp_path)}

    def run(*words: str) -> int:
        command = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-m", *words]
        return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode

    assert run("pgqueue", "jobs", "list") == 0
    assert run("pgqueue.worker", "talks:app", "--drain") == 0
    assert app.result(handle, timeout=0) == os.devnull
