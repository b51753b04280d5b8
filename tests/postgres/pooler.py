"""A real PgBouncer in transaction mode, in front of the server of the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue.embedded import binaries
from tests.worker.process import eventually

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
SETTINGS = """
[databases]
* = host={host} port={port} user=postgres

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextmanager
def pgbouncer(url: str, *, mode: str = "transaction", size: int = 4) -> Iterator[str]:
    """The URL that leads to *url*'s database through a pooler of *size* connections.

    Skips where PgBouncer is not installed, except in CI.
    """
    if PROGRAM is None:
        if os.environ.get("CI"):
            raise FileNotFoundError("pgbouncer is not installed")
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    address = make_url(url)
    host, port = address.query.get("host", address.host), address.query.get("port", address.port)
    account = binaries.find().account
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", dir="/tmp") as name:
        folder = Path(name)
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            SETTINGS.format(host=host, port=port or 5432, folder=folder, mode=mode, size=size)
        )
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        process = subprocess.Popen(
            [PROGRAM, "-q", settings],
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        through = f"postgresql://postgres@/{address.database}?host={quote(name, safe='')}&port=6432"
        try:
            eventually(lambda: process.poll() is not None or _answers(through))
            assert process.poll() is None, (folder / "log").read_text()
            yield through
        finally:
            process.send_signal(signal.SIGTERM)  # at once, unlike SIGINT
            process.wait(10)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
