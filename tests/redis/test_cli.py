"""The command line on a Redis: the same commands, the same demo."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pgqueue.backends.redis import RedisBackend
from pgqueue.jobs.job import NewJob
from pgqueue.operations import enqueue
from tests import valkey
from tests.cli.terminal import DEMO, Process, Terminal
from tests.conftest import require_valkey
from tests.valkey import Valkey


@pytest.fixture
def terminal(durable: Valkey) -> Terminal:
    return Terminal(durable.url)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "one.py").write_text("import os, json\n\ndef f():\n    pass\n")
    (folder / "bad.py").write_text("def (:\n")
    return folder


@pytest.fixture
def demo(tmp_path: Path, sources: Path) -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []
    numbers = count(1)

    def demo(url: str, *words: object) -> Process:
        asked = ["-c", DEMO, "demo", str(sources), *map(str, words), "--debug"]
        process = Process(asked, tmp_path, {"PGQUEUE_URL": url}, next(numbers))
        processes.append(process)
        return process

    yield demo
    for process in processes:
        process.kill()


def told(process: Process) -> Any:
    output = process.output
    return json.JSONDecoder().raw_decode(output, output.index("{\n"))[0]


def test_there_is_nothing_to_migrate(terminal: Terminal) -> None:
    assert "nothing to migrate" in terminal.ok("migrate")
    assert terminal("migrate", "--json").json["changed"] is False


def test_looks_and_acts(terminal: Terminal) -> None:
    terminal.ok("enqueue", "greet", '{"whom": "Ada"}')
    assert "greet" in terminal.ok("jobs", "list")
    assert terminal("status", "--json").json["queues"][0]["name"] == "default"
    assert "is available" in terminal.ok("why", "1")
    assert "cancelled" in terminal.ok("jobs", "cancel", "1")
    terminal.ok("jobs", "retry", "1")
    assert terminal("jobs", "show", "1", "--json").json["state"] == "available"
    terminal.ok("queues", "pause", "default")
    assert "paused" in terminal.ok("queues", "list")


@pytest.mark.parametrize("kind", ["server", "cluster"])
def test_the_demo_gives_the_same_report(
    kind: str, demo: Callable[..., Process], durable: Valkey, request: pytest.FixtureRequest
) -> None:
    url = durable.url
    if kind == "cluster":
        nodes = request.getfixturevalue("valkey_cluster")
        url = f"redis+cluster://127.0.0.1:{nodes[1].port}"
    process = demo(url, "--json", "--processes", 1)
    assert process.ends() == 0, process.output

    figures = told(process)
    assert figures["server"].startswith(("Valkey", "Redis"))
    assert figures["states"] == {"completed": figures["jobs"]}
    assert (figures["retried"], figures["seen_before_commit"]) == (20, 0)
    report = figures["report"]
    assert (report["files"], report["unreadable"], report["missing"]) == (2, 1, 0)
    if kind == "server":
        assert durable.client().keys("*") == []


def test_only_one_demo_at_a_time_plays_in_a_redis(
    demo: Callable[..., Process], durable: Valkey
) -> None:
    first = demo(durable.url, "--keep")
    first.says("goes on until Ctrl-C")
    second = demo(durable.url)
    assert second.ends() == 1
    assert "another demo is running" in second.output
    first.send(signal.SIGINT)
    assert first.ends() == 130
    assert durable.client().dbsize() > 0  # it was to be kept


def test_a_namespace_is_on_one_node_and_names_spread_them() -> None:
    require_valkey()
    with valkey.cluster() as nodes:
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        for n in range(12):
            backend = RedisBackend(url, schema=f"shop{n}")
            backend.execute(enqueue([NewJob("task")]).send(None))
            backend.close()
        assert all(node.client().dbsize() > 0 for node in nodes)
