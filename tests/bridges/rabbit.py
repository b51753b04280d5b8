"""A real RabbitMQ for the tests, from the system's package, run by whoever runs the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pika
import psutil

from tests.valkey import free_port, until

CURE = "apt-get install rabbitmq-server; no node of its own has to run"


def program() -> Path | None:
    """The server's own script: the one in /usr/sbin insists on root."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    return found[-1] if found and shutil.which("erl") else None


class Rabbit:
    """A node with a folder of its own; started again, it has what it had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._dist, self._mapper = free_port(), free_port(), free_port()
        self._shell: subprocess.Popen[bytes] | None = None
        self.queues: set[str] = set()
        """Durable ones, which it declares again when it starts: a broker that is killed may have
        forgotten what was declared a moment before."""

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def _environment(self) -> dict[str, str]:
        here = self.folder
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(here),
            "RABBITMQ_NODENAME": f"pgqueue{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            # The schedulers of a node that is idle otherwise spin on the processors of the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def start(self) -> None:
        """Returns when it takes connections."""
        (self.folder / "plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text("disk_free_limit.absolute = 1MB\n")
        found = program()
        assert found is not None
        with (self.folder / "output").open("ab") as output:
            self._shell = subprocess.Popen(
                [str(found)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until(self._answers, within=100)
        if self.queues:
            with self.connect() as connection:
                for name in self.queues:
                    connection.channel().queue_declare(name, durable=True)

    def kill(self) -> None:
        """As a crash: the node itself, not only the shell above it."""
        self._signal(signal.SIGKILL)
        self._reap()

    def note_queues(self) -> None:
        """Have the disk hold what was declared. Else a crash forgets a queue of a moment ago, and
        with it the messages that were confirmed there."""
        self.control("eval", "ok = mnesia:sync_log().")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` answers."""
        found = program()
        assert found is not None
        done = subprocess.run(
            [str(found.with_name("rabbitmqctl")), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def stop(self) -> None:
        """Ends the node, and the port mapper that it started."""
        self.kill()
        for process in psutil.process_iter(["name", "environ"]):
            with suppress(psutil.Error):
                if process.info["name"] == "epmd" and (process.info["environ"] or {}).get(
                    "ERL_EPMD_PORT"
                ) == str(self._mapper):
                    process.kill()

    def connect(self) -> pika.BlockingConnection:
        """A connection of another client library than pgqueue's."""
        return pika.BlockingConnection(pika.URLParameters(self.url + "%2F?heartbeat=0"))

    def _answers(self) -> bool:
        assert self._shell is not None
        if self._shell.poll() is not None:
            raise RuntimeError(f"no RabbitMQ: {(self.folder / 'output').read_text()[-2_000:]}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
            self.connect().close()
        except (OSError, pika.exceptions.AMQPError):
            return False
        return True

    def _processes(self) -> list[psutil.Process]:
        if self._shell is None:
            return []
        with suppress(psutil.NoSuchProcess):
            shell = psutil.Process(self._shell.pid)
            return [shell, *shell.children(recursive=True)]
        return []

    def _signal(self, number: int) -> None:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                if process.name() == "beam.smp":
                    process.send_signal(number)
                    if number == signal.SIGKILL:
                        process.wait()

    def _reap(self) -> None:
        if self._shell is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
            self._shell = None


@contextmanager
def server() -> Iterator[Rabbit]:
    """A node, and its folder, for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="pgqueue-rabbit-"))
    rabbit = Rabbit(folder)
    try:
        rabbit.start()
        yield rabbit
    finally:
        rabbit.stop()
        shutil.rmtree(folder, ignore_errors=True)
