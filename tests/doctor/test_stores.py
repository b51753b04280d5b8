"""The doctor on other stores: the checks that they have, and words that fit them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pgqueue.backends.redis import RedisBackend
from pgqueue.doctor import Finding, examine
from tests import valkey
from tests.cli.terminal import Terminal
from tests.conftest import require_valkey
from tests.valkey import Valkey

Look: TypeAlias = Callable[..., list[Finding]]


@pytest.fixture
def look_at_redis(valkey_server: Valkey, namespace: str) -> Look:
    def look(url: str = valkey_server.url) -> list[Finding]:
        backend = RedisBackend(url, schema=namespace)
        try:
            return list(examine(backend, namespace))
        finally:
            backend.close()

    return look


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server whose settings may be changed."""
    require_valkey()
    with valkey.server("--appendonly", "yes", tcp=True) as server:
        yield server


def ill(url: str) -> list[Any]:
    """What `pgqueue doctor` finds that is not well; that is its exit code."""
    ended = Terminal(url)("doctor", "--json")
    assert ended.code == 1, ended
    return [finding for finding in json.loads(ended.out) if finding["level"] != "ok"]


def test_a_new_redis_is_healthy(look_at_redis: Look) -> None:
    found = look_at_redis()

    assert [(finding.check, finding.level) for finding in found] == [
        (check, "ok")
        for check in (
            "schema",
            "notifications",
            "workers",
            "queues",
            "waiting",
            "tasks",
            "schedules",
            "bridges",
            "tally",
        )
    ]
    assert "ms there and back" in found[1].message


def test_a_redis_that_throws_jobs_away_is_a_finding(own_valkey: Valkey) -> None:
    own_valkey.client().config_set("maxmemory-policy", "allkeys-lru")
    [finding] = ill(own_valkey.url)
    assert (finding["check"], finding["level"]) == ("connection", "error")
    assert "CONFIG SET maxmemory-policy noeviction" in finding["message"]


def test_a_redis_role_that_hears_nothing_is_a_finding(own_valkey: Valkey) -> None:
    own_valkey.client().execute_command(
        *("ACL", "SETUSER", "deaf", "on", ">hunter2", "~*", "+@all", "resetchannels")
    )
    [finding] = ill(f"redis://deaf:hunter2@127.0.0.1:{own_valkey.port}")
    assert (finding["check"], finding["level"]) == ("notifications", "error")
    assert "subscribe" in finding["cure"]
    assert "hunter2" not in str(finding)


def test_a_redis_role_that_may_run_no_script_is_a_finding(own_valkey: Valkey) -> None:
    own_valkey.client().execute_command(
        *("ACL", "SETUSER", "idle", "on", ">hunter2", "~*", "&*", "+ping")
    )
    [finding] = ill(f"redis://idle:hunter2@127.0.0.1:{own_valkey.port}")
    assert (finding["check"], finding["level"]) == ("rights", "error")
    assert "pgqueue grant" not in finding["cure"]


def test_a_file_that_is_no_database_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("this is no database" * 100)
    [finding] = ill(f"sqlite:///{tmp_path}/jobs.db")
    assert (finding["check"], finding["level"]) == ("connection", "error")
    assert "file is not a database" in finding["message"]


def test_what_only_postgresql_has_is_named(tmp_path: Path) -> None:
    """Options that a store lacks, and commands."""
    terminal = Terminal(f"sqlite:///{tmp_path}/jobs.db")

    assert "sqlite:// has no option listen_url" in terminal("doctor", "--listen-url", "x").err
    assert "PostgreSQL can" in terminal("grant", "--worker", "jobs").err
