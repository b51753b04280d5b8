"""Real servers, each on a directory of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue import embedded
from pgqueue.embedded import binaries
from pgqueue.errors import NoServer

HOLD = """
import sys
from pgqueue import embedded
server = embedded.start(sys.argv[1])
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the server's account can enter: pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="test-embedded-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # whose new parent is slow
    except psutil.NoSuchProcess:
        return True


def test_starts_durable_and_private_and_leaves_nothing() -> None:
    with embedded.start(ephemeral=True) as server:
        assert value(server.url, "SELECT current_setting('fsync')") == "on"
        assert value(server.url, "SELECT current_setting('listen_addresses')") == ""
        assert value(server.url, "SHOW server_encoding") == "UTF8"
        socket = Path(make_url(server.url).query["host"])  # type: ignore[arg-type]
        assert socket.stat().st_mode & 0o777 == 0o700
        process = psutil.Process(server.pid)

    assert ended(process)
    assert not server.directory.exists()


def test_takes_settings() -> None:
    with embedded.start(ephemeral=True, options={"max_connections": "17"}) as server:
        assert value(server.url, "SHOW max_connections") == "17"


def test_asks_for_a_password_through_tcp() -> None:
    with embedded.start(ephemeral=True, tcp=True) as server:
        assert value(server.tcp_url, "SELECT inet_server_addr()::text") == "127.0.0.1/32"
        user, at, address = server.tcp_url.partition("@")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"{user}x{at}{address}")


def test_keeps_data_and_url_through_every_end(home: Path) -> None:
    with embedded.start(home / "kept") as server:
        url = server.url
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

        server.restart()
        assert value(url, "SELECT answer FROM kept") == 42
        server.restart("immediate")
        assert value(url, "SELECT answer FROM kept") == 42
        server.kill()
        with pytest.raises(NoServer, match="not running"):
            _ = server.pid
        server.start()
        assert value(url, "SELECT answer FROM kept") == 42

    with embedded.start(home / "kept") as again:
        assert again.url == url
        assert value(url, "SELECT answer FROM kept") == 42


def test_comes_back_after_somebody_else_killed_it(home: Path) -> None:
    with embedded.start(home / "kept") as server:
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(NoServer, match="not running"):
            while server.pid:
                pass

        server.start()

        assert server.pid != killed
        assert value(server.url, "SELECT 1") == 1


def test_keeps_out_of_a_directory_with_other_files(home: Path) -> None:
    (home / "thesis.txt").touch()

    with pytest.raises(NoServer, match="other files"):
        embedded.start(home)

    assert [path.name for path in home.iterdir()] == ["thesis.txt"]


def test_stops_twice(home: Path) -> None:
    server = embedded.start(home / "kept")

    server.stop()
    server.stop()


def test_dies_with_its_parent_and_leaves_a_directory_that_starts(home: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home / "kept")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    postmaster = psutil.Process(int(parent.stdout.readline()))

    parent.send_signal(signal.SIGKILL)
    parent.communicate()

    with embedded.start(home / "kept") as server:  # waits for the last process of the other
        assert ended(postmaster)
        assert value(server.url, "SELECT 1") == 1


def test_outlives_the_thread_that_started_it(home: Path) -> None:
    servers: list[embedded.Server] = []
    thread = threading.Thread(target=lambda: servers.append(embedded.start(home / "kept")))
    thread.start()
    thread.join()

    with servers[0] as server:
        assert value(server.url, "SELECT 1") == 1


def test_refuses_a_directory_in_use(home: Path) -> None:
    with (
        embedded.start(home / "kept"),
        pytest.raises(NoServer, match=f"in use by a server of process {os.getpid()}: stop that"),
    ):
        embedded.start(home / "kept")


def test_starts_at_a_path_too_long_for_a_socket(home: Path) -> None:
    with embedded.start(home / ("long" * 30)) as server:
        assert value(server.url, "SELECT 1") == 1
        socket = Path(server._socket_dir)

    assert not socket.exists()


def test_says_why_it_does_not_start(home: Path) -> None:
    with pytest.raises(NoServer, match="no_such_setting"):
        embedded.start(home / "kept", options={"no_such_setting": "1"})

    with embedded.start(home / "kept") as server:
        assert value(server.url, "SELECT 1") == 1


def test_names_the_cure_where_no_server_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGQUEUE_POSTGRES_BIN", str(home))

    with pytest.raises(NoServer, match=r"holds no postgres;.*pip install 'pgqueue\[demo\]'"):
        embedded.start(ephemeral=True)


def test_sweeps_up_after_those_that_were_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    abandoned = home / "pgqueue-postgres-abandoned"
    abandoned.mkdir()
    (abandoned / "lock").touch()
    an_hour_ago = time.time() - 3600
    os.utime(abandoned / "lock", (an_hour_ago, an_hour_ago))

    with embedded.start(home, ephemeral=True) as first:
        os.utime(first.directory / "lock", (an_hour_ago, an_hour_ago))
        with embedded.start(home, ephemeral=True):
            assert not abandoned.exists()
            assert value(first.url, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
class TestAsRoot:
    def test_runs_as_somebody_else(self) -> None:
        with embedded.start(ephemeral=True) as server:
            uid = psutil.Process(server.pid).uids().real

        assert pwd.getpwuid(uid).pw_name in {"postgres", "nobody"}

    def test_copies_binaries_that_others_cannot_reach(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bin_folder = binaries.find().folder
        package, private = bin_folder.parents[1], home / "private"
        copy = private / package.name / bin_folder.parent.name
        shutil.copytree(bin_folder.parent, copy, symlinks=True)
        for libraries in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(libraries, private / libraries.name)
        private.chmod(0o700)
        monkeypatch.setenv("PGQUEUE_POSTGRES_BIN", str(copy / "bin"))
        monkeypatch.setattr(binaries, "cache_dir", lambda: home / "cache")

        for _ in range(2):
            with embedded.start(ephemeral=True) as server:
                assert value(server.url, "SELECT 1") == 1

        assert private.stat().st_mode & 0o777 == 0o700
        assert len(list((home / "cache" / "binaries").iterdir())) == 1
