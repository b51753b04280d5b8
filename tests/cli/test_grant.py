"""`pgqueue grant`."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.cli.terminal import Terminal
from tests.postgres.roles import a_role, as_role


def test_gives_roles_their_parts(terminal: Terminal, postgres_url: str) -> None:
    with a_role(postgres_url) as web, a_role(postgres_url) as jobs:
        said = terminal.ok("grant", "--enqueuer", web, "--worker", jobs, "--reader", jobs)
        assert said == f"{web} is enqueuer\n{jobs} is worker and reader\n"

        assert "enqueued" in Terminal(as_role(postgres_url, web)).ok("enqueue", "send")
        assert "send" in Terminal(as_role(postgres_url, jobs)).ok("jobs", "list")
        refused = Terminal(as_role(postgres_url, web))("jobs", "list")
        assert refused.code == 1
        assert len(refused.err.splitlines()) == 1
        assert "permission denied" in refused.err
        assert f"`pgqueue grant` --reader {web} to look" in refused.err
        assert f"--reader {web} to look" in Terminal(as_role(postgres_url, web))("status").err


def test_a_reader_sees_everything_on_the_command_line(
    terminal: Terminal, postgres_url: str
) -> None:
    id = terminal("enqueue", "send", '{"to": "me"}', "--json").json["id"]
    with a_role(postgres_url, "reader") as role:
        reader = Terminal(as_role(postgres_url, role))
        for words in ("status", "jobs list", "queues list", "workers", f"why {id}"):
            reader.ok(*words.split())
        assert "me" in reader.ok("jobs", "show", id)
        refused = reader("jobs", "cancel", id)
        assert refused.code == 1
        assert f"the role {role} may only read here" in refused.err
        assert "granted --worker" in refused.err
        assert reader("queues", "pause", "default").code == 1


def test_takes_rights_away_again(terminal: Terminal, postgres_url: str) -> None:
    with a_role(postgres_url, "worker", "reader") as role:
        said = terminal.ok("grant", "--revoke", role, "--enqueuer", role)
        assert said == f"{role} is enqueuer, and no more\n"
        assert Terminal(as_role(postgres_url, role))("jobs", "list").code == 1

        assert terminal.ok("grant", "--revoke", role) == f"{role} may do nothing here\n"
        assert Terminal(as_role(postgres_url, role))("enqueue", "send").code == 1


def test_prints_what_an_administrator_may_run(terminal: Terminal, postgres_url: str) -> None:
    with a_role(postgres_url, name='odd "role"') as role:
        script = terminal.ok("grant", "--sql", "--reader", role)
        assert Terminal(as_role(postgres_url, role))("jobs", "list").code == 1

        with psycopg.connect(postgres_url) as owner:
            owner.execute(script.encode())
        Terminal(as_role(postgres_url, role)).ok("jobs", "list")


def test_says_it_in_json(terminal: Terminal, postgres_url: str) -> None:
    with a_role(postgres_url) as role:
        rights = terminal("grant", "--reader", role, "--json").json

    assert {(right["part"], right["role"], right["held"]) for right in rights} == {
        ("reader", role, True)
    }


def test_a_file_has_no_roles(tmp_path: Path) -> None:
    ended = Terminal(f"sqlite:///{tmp_path}/jobs.db")("grant", "--reader", "me")
    assert ended.code == 1
    assert "sqlite has no roles" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("grant", 2, "name a role"),
        (
            "grant --reader nobody_here",
            1,
            "there is no role nobody_here (CREATE ROLE comes first.)",
        ),
        ("grant --reader public", 1, "there is no role public"),
    ],
)
def test_says_what_is_wrong(terminal: Terminal, words: str, code: int, says: str) -> None:
    ended = terminal(*words.split())
    assert ended.code == code
    assert says in ended.err
    assert len(ended.err.splitlines()) == 1
