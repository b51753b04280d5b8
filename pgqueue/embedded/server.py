"""Start, stop, restart and kill one server, and no other."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import quote

import psycopg

from pgqueue.embedded import launch
from pgqueue.embedded.binaries import Binaries, cache_dir, environment, find
from pgqueue.errors import NoServer

Mode = Literal["smart", "fast", "immediate"]

_SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_PATIENCE_SECONDS: Final = 30.0
_POLL: Final = 0.01
_PREFIX: Final = "pgqueue-postgres-"
# A socket's path has at most about 107 bytes (104 on macOS), and its file name needs some of them.
_LONGEST_SOCKET_DIR: Final = 85


def start(
    data_dir: str | Path | None = None,
    *,
    ephemeral: bool = False,
    tcp: bool = False,
    options: Mapping[str, str] | None = None,
) -> Server:
    """Start a server and return when it answers.

    Its data stay in *data_dir*, by default in the user's cache. An *ephemeral* one leaves nothing
    behind: it has a new folder below *data_dir*, by default below the system's temporary one.
    *tcp*: it also listens on a free port of 127.0.0.1, with a password, see `Server.tcp_url`.
    *options* are PostgreSQL's own settings.

    Raises `NoServer` when there are no binaries, or the directory is in use.
    """
    binaries = find()
    if ephemeral:
        below = Path(data_dir or tempfile.gettempdir()).absolute()
        _sweep(below)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=below))
    else:
        directory = Path(data_dir or cache_dir() / f"postgres-{binaries.major}").absolute()
    server = Server(binaries, directory, ephemeral=ephemeral, tcp=tcp, options=options or {})
    server.start()
    return server


class Server:
    """One server on one directory; it lives no longer than this process.

    A context manager that stops it at the end. The directory holds everything: the data, with the
    socket among them, in a folder that only the server's own user can enter; the log; and a lock,
    which all processes of the server share, so that it is free only when the last of them has
    ended.
    """

    def __init__(
        self,
        binaries: Binaries,
        directory: Path,
        *,
        ephemeral: bool,
        tcp: bool,
        options: Mapping[str, str],
    ) -> None:
        self.binaries = binaries
        self.directory = directory
        self._ephemeral = ephemeral
        self._port = _free_port() if tcp else 5432
        self._tcp = tcp
        self._options = dict(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._waiter: Thread | None = None
        self._owner = os.getpid()
        self._data = directory / "data"
        self._socket_dir = self._data
        if len(os.fsencode(self._data)) > _LONGEST_SOCKET_DIR:
            self._socket_dir = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))

    @property
    def url(self) -> str:
        """The URL of the database `postgres`, as the superuser, through the private socket."""
        host = quote(str(self._socket_dir), safe="")
        return f"postgresql://postgres@/postgres?host={host}&port={self._port}"

    @property
    def tcp_url(self) -> str:
        """The same database through TCP, with a password. Raises ValueError unless started with
        *tcp*."""
        if not self._tcp:
            raise ValueError("this server was started without tcp=True")
        password = (self.directory / "password").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int:
        """The process id of the postmaster. Raises `NoServer` when it is not running."""
        if self._process is None or not self._is_running():
            raise NoServer("this server is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has written since its latest start."""
        try:
            return (self.directory / "server.log").read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def start(self) -> None:
        """Start it, with an empty database the first time; do nothing while it runs."""
        if self._is_running():
            return
        self._end()
        try:
            self._claim_directory()
            lock = self._lock()
            try:
                if not self._data.exists():
                    self._create()
                if self._socket_dir != self._data:
                    self._make_private(self._socket_dir)
                self._launch(lock)
            finally:
                os.close(lock)
            self._await_answer()
        except BaseException:
            self.stop("immediate")
            raise
        atexit.register(self.stop)

    def stop(self, mode: Mode = "fast") -> None:
        """Stop it and wait for its end; an ephemeral one's data are removed.

        Stopping twice, or after it has ended by itself, is no error.
        """
        if os.getpid() != self._owner:  # this is a forked child's exit: our server is to go on
            return
        atexit.unregister(self.stop)
        self._end(_SIGNALS[mode])
        if self._socket_dir != self._data:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        if self._ephemeral and self.directory.exists():
            with contextlib.suppress(NoServer):
                os.close(self._lock())  # `_lock` waits until its last process has ended
            shutil.rmtree(self.directory, ignore_errors=True)

    def restart(self, mode: Mode = "fast") -> None:
        """Stop it and start it again with the same data and URL. "immediate" is a crash."""
        self._end(_SIGNALS[mode])
        self.start()

    def kill(self) -> None:
        """Kill the postmaster, as the kernel does when memory runs out; `start` starts it again."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _is_running(self) -> bool:
        return self._waiter is not None and self._waiter.is_alive()

    def _claim_directory(self) -> None:
        """Make the directory. It stays this user's: the account that runs the server must not be
        able to put links there, which root would follow."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not any(self.directory.iterdir()):
            self.directory.chmod(0o711 if self.binaries.account else 0o700)
        elif not (self.directory / "lock").exists():
            raise NoServer(f"{self.directory} holds other files: choose another data_dir")

    def _make_private(self, directory: Path) -> None:
        """Make *directory*, for the account that runs the server and nobody else."""
        directory.mkdir(mode=0o700, exist_ok=True)
        if account := self.binaries.account:
            os.chown(directory, account.uid, account.gid)

    def _lock(self) -> int:
        """Take the directory for this server, once the last process of an earlier one has ended;
        return the lock's descriptor.

        Raises NoServer when another process's server uses it.
        """
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock
            holder = int(os.pread(lock, 20, 0) or 0)
            if _alive(holder) or time.monotonic() > deadline:
                os.close(lock)
                raise NoServer(
                    f"{self.directory} is in use by a server of process {holder}: stop that one, or"
                    " choose another data_dir"
                )
            time.sleep(_POLL)

    def _create(self) -> None:
        """Make an empty database cluster, or nothing at all."""
        draft, password = self.directory / "draft", self.directory / "password"
        shutil.rmtree(draft, ignore_errors=True)
        self._make_private(draft)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if account := self.binaries.account:
            os.chown(password, account.uid, account.gid)
        arguments = [
            *("--pgdata", str(draft), "--username", "postgres", "--encoding", "UTF8"),
            *("--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", str(password)),
            *(["--no-sync"] if self._ephemeral else []),
        ]
        made = self.binaries.run("initdb", *arguments, "--locale", "C.UTF-8")
        if made.returncode:  # not every system has C.UTF-8
            made = self.binaries.run("initdb", *arguments, "--locale", "C")
        if made.returncode:
            runs_as = f" (the server runs as {account.name})" if account else ""
            raise NoServer(f"initdb failed in {self.directory}: {made.stderr.strip()}{runs_as}")
        draft.rename(self._data)

    def _launch(self, lock: int) -> None:
        account = self.binaries.account
        settings = {
            "listen_addresses": "127.0.0.1" if self._tcp else "",
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "port": str(self._port),
            **self._options,
        }
        command = [
            *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid())),
            *((str(account.uid), str(account.gid)) if account else ("-1", "-1")),
            *(str(self.binaries.folder / "postgres"), "-D", str(self._data)),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ]
        started: Future[subprocess.Popen[bytes]] = Future()

        def run() -> None:
            try:
                with (self.directory / "server.log").open("wb") as log:
                    process = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd="/",
                        env=environment(),
                        pass_fds=[lock],
                        start_new_session=True,  # Ctrl-C reaches only us, not the server
                    )
            except BaseException as error:
                started.set_exception(error)
                return
            started.set_result(process)
            process.wait()

        # The kernel sends the death signal as soon as the *thread* that started the server ends. So
        # a thread starts it that does nothing else and waits for its end.
        self._waiter = Thread(target=run, name="pgqueue-postgres", daemon=True)
        self._waiter.start()
        self._process = started.result()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._is_running() and time.monotonic() < deadline:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(_POLL)
            else:
                return
        last = self.log.strip().splitlines()[-5:]
        raise NoServer("\n".join([f"the server in {self.directory} does not start:", *last]))

    def _end(self, *signals: signal.Signals) -> None:
        """Send the signals, each when the one before has not helped, and wait for the end."""
        if self._process is None or self._waiter is None:
            return
        # Its last processes may hold the lock for a while. With 0 in place of our process id, the
        # next server waits for them; otherwise it would take the directory for one in use.
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "lock").write_text("0")
        for number in (*signals, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(number)
            self._waiter.join(_PATIENCE_SECONDS)
            if not self._waiter.is_alive():
                break
        self._process = None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _sweep(below: Path) -> None:
    """Remove what ephemeral servers left behind whose process was killed."""
    for lock in below.glob(f"{_PREFIX}*/lock"):
        with contextlib.suppress(OSError), lock.open() as file:
            if time.time() - lock.stat().st_mtime > 60:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent)
