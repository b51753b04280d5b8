"""Probes: over HTTP, in a file, to systemd; of one worker process, and of several."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue import App, embedded
from pgqueue.embedded import Server
from pgqueue.errors import PgqueueError
from pgqueue.worker import Options, Worker
from pgqueue.worker.telemetry import vitals
from tests.databases import migrate
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work
from tests.worker.process import Shop, WorkerProcess, eventually
from tests.worker.store import Store

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def ask(port: int, path: str) -> tuple[int, str]:
    """The answer of a probe; (0, …) where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()
    except (urllib.error.URLError, ConnectionError) as error:
        return 0, str(error)


def port_of(worker: WorkerProcess) -> int:
    return int(worker.logs(r"probes on port (\d+)")[1])


def becomes(port: int, path: str, status: int, text: str = "") -> str:
    """What a probe says, when it answers with *status* and holds *text*."""

    def look() -> str | None:
        found, said = ask(port, path)
        assert (found, text in said) == (status, True), (found, said)
        return said

    return eventually(look)


def test_a_pods_life(start: Start, store: Store, shop: Shop) -> None:
    worker = start(health_port=0)
    port = port_of(worker)
    assert becomes(port, "/ready", 200) == "ready"
    [handle] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))
    assert ask(port, "/live?verbose") == (200, "live")
    assert ask(port, "/nothing") == (404, "/live, /ready, /metrics")

    worker.send(signal.SIGTERM)

    assert becomes(port, "/ready", 503) == "stopping"
    assert ask(port, "/live") == (200, "live")
    shop.open()
    assert worker.ends() == 0
    assert store.job(handle).state == "completed"
    assert ask(port, "/live")[0] == 0


def test_a_worker_without_its_database_lives_and_is_not_ready(start: Start) -> None:
    port = port_of(start(url=NOWHERE, health_port=0))

    assert becomes(port, "/ready", 503, "refused").startswith("not at work yet: ")
    assert ask(port, "/live") == (200, "live")


@pytest.fixture
def server() -> Iterator[Server]:
    with embedded.start(ephemeral=True) as server:
        migrate(server.url)
        yield server


async def test_it_is_not_ready_while_the_store_does_not_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "READY_SECONDS", 1.0)
    app = App(server.url)
    worker = Worker(app, Options(health_port=0, health_host="127.0.0.1", heartbeat_interval=0.2))
    running = asyncio.create_task(worker.run())
    await worker.started.wait()
    assert worker.probes is not None
    port = worker.probes.port
    assert port is not None
    await asyncio.to_thread(becomes, port, "/ready", 200)

    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(becomes, port, "/ready", 503, "no answer from the store for ")
    assert await asyncio.to_thread(ask, port, "/live") == (200, "live")
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(becomes, port, "/ready", 200)

    worker.stop()
    await running
    app.close()


async def test_a_blocked_event_loop_does_not_live(
    app: App, work: Work, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "LIVE_SECONDS", 0.7)
    app.add(tasks.block_the_loop)
    worker = await work(health_port=0)
    assert worker.probes is not None
    port = worker.probes.port
    assert port is not None

    def blocked() -> str:
        try:
            return becomes(port, "/live", 503)
        finally:
            shop.open()

    seen = asyncio.create_task(asyncio.to_thread(blocked))
    await app.enqueue_async(tasks.block_the_loop.job())

    assert "the event loop has not turned for " in await seen
    await asyncio.to_thread(becomes, port, "/live", 200)


def test_the_file_says_how_it_is_and_is_gone_in_the_end(
    start: Start, store: Store, shop: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "health"
    file.write_text("ready\n")  # of one that was killed
    away = start(url=NOWHERE, health_file=file)
    eventually(lambda: "waiting: not at work yet" in file.read_text())
    away.kill()

    worker = start(health_file=file)
    eventually(lambda: file.read_text() == "ready\n")
    store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))
    worker.send(signal.SIGTERM)
    eventually(lambda: file.read_text() == "waiting: stopping\n")
    shop.open()
    assert worker.ends() == 0
    assert not file.exists()
    assert [path.name for path in tmp_path.glob("health*")] == []


def test_the_file_is_written_while_the_process_lives(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "health"
    worker = start(health_file=file)
    eventually(lambda: file.exists() and file.read_text() == "ready\n")
    written = file.stat().st_mtime_ns
    eventually(lambda: file.stat().st_mtime_ns > written)

    worker.send(signal.SIGSTOP)
    before = file.stat().st_mtime_ns
    worker.send(signal.SIGCONT)
    eventually(lambda: file.stat().st_mtime_ns > before)


@pytest.mark.parametrize("processes", [1, 2])
def test_systemd_hears_ready_watchdog_and_stopping(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.settimeout(60)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "1500000")
    worker = start(processes=processes)
    said: list[str] = []

    def hear(what: str) -> None:
        while what not in said:
            said.extend(heard.recv(4096).decode().splitlines())

    hear("READY=1")
    said.clear()
    hear("WATCHDOG=1")
    said.clear()
    hear("WATCHDOG=1")
    assert "READY=1" not in said
    worker.send(signal.SIGTERM)
    hear("STOPPING=1")
    assert worker.ends() == 0
    heard.close()


def test_what_is_meant_for_systemd_reaches_no_task(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@pgqueue-test-nobody")
    worker = start().started()
    environment = Path(f"/proc/{worker.pid}/environ")
    assert b"NOTIFY_SOCKET" in environment.read_bytes()  # what it was started with

    code = (
        "import os\nfrom pgqueue.worker.telemetry.systemd import Systemd\n"
        "assert Systemd.found() is not None\nassert 'NOTIFY_SOCKET' not in os.environ"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_port_that_is_taken_ends_it_with_one_line(start: Start) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        worker = start(health_port=taken.getsockname()[1])

        assert worker.ends() == 1
        assert "cannot listen on 0.0.0.0: Address already in use" in worker.log
        assert len(worker.log.splitlines()) == 1


async def test_a_file_that_cannot_be_written_is_refused(app: App, tmp_path: Path) -> None:
    with pytest.raises(PgqueueError, match=r"--health-file .*: No such file or directory"):
        await Worker(app, Options(health_file=tmp_path / "nowhere" / "health")).run()


def test_it_listens_on_both_kinds_of_addresses(start: Start) -> None:
    port = port_of(start(health_port=0, health_host="::"))
    becomes(port, "/live", 200)
    with urllib.request.urlopen(f"http://[::1]:{port}/live", timeout=10) as answer:
        assert answer.status == 200


def test_a_process_that_a_task_forks_does_not_keep_the_port(
    start: Start, store: Store, shop: Shop
) -> None:
    worker = start(health_port=0)
    port = port_of(worker)
    store.enqueue(tasks.fork.job(how="os.fork", gate="forked"))
    eventually(lambda: shop.marks("fork"))

    worker.kill()

    assert ask(port, "/live")[0] == 0
    shop.open("forked")


def test_several_processes_are_ready_together(start: Start, shop: Shop) -> None:
    supervisor = start(processes=3, health_port=0)
    port = port_of(supervisor)
    assert becomes(port, "/ready", 200) == "ready"
    assert supervisor.log.count("] worker ") >= 3
    assert supervisor.log.count("probes on port") == 1

    first = int(supervisor.logs(r"process (\d+) started")[1])
    os.kill(first, signal.SIGKILL)
    assert "has not started yet" in becomes(port, "/ready", 503)
    assert ask(port, "/live") == (200, "live")
    becomes(port, "/ready", 200)

    supervisor.send(signal.SIGTERM)
    assert supervisor.ends() == 0
    assert ask(port, "/live")[0] == 0


def test_one_of_several_that_is_frozen_does_not_live(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = start(processes=2, health_port=0)
    port = port_of(supervisor)
    becomes(port, "/ready", 200)
    first = int(supervisor.logs(r"process (\d+) started")[1])
    os.kill(first, signal.SIGSTOP)
    try:
        assert "has said nothing for" in becomes(port, "/live", 503)
    finally:
        os.kill(first, signal.SIGCONT)
    becomes(port, "/live", 200)
