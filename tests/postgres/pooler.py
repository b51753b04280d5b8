"""A real PgBouncer in transaction mode, in front of the server of the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
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
listen_addr = {listen}
listen_port = {own_port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
pidfile = {folder}/pid
"""
TLS = """
client_tls_sslmode = require
client_tls_key_file = {folder}/key
client_tls_cert_file = {folder}/certificate
"""


@contextmanager
def pgbouncer(
    url: str, *, mode: str = "transaction", size: int = 4, tls: bool = False
) -> Iterator[str]:
    """The URL that leads to *url*'s database through a pooler of *size* connections.

    With *tls* it lets in nobody without. Skips where PgBouncer is not installed, except in CI.
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
        own_port = _free_port() if tls else 6432
        given = {"host": host, "port": port or 5432, "mode": mode, "size": size, "folder": folder}
        given |= {"listen": "127.0.0.1" if tls else "", "own_port": own_port}
        settings.write_text((SETTINGS + TLS if tls else SETTINGS).format(**given))
        if tls:
            _make_key(folder)
        if account is not None:
            for path in (folder, *folder.iterdir()):
                os.chown(path, account.uid, account.gid)
        process = subprocess.Popen(
            [PROGRAM, "-q", settings],
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if tls:
            through = f"postgresql://postgres@127.0.0.1:{own_port}/{address.database}"
            through += f"?sslmode=verify-full&sslrootcert={folder / 'certificate'}"
        else:
            through = f"postgresql://postgres@/{address.database}"
            through += f"?host={quote(name, safe='')}&port={own_port}"
        try:
            eventually(lambda: process.poll() is not None or _answers(through))
            assert process.poll() is None, (folder / "log").read_text()
            yield through
        finally:
            process.send_signal(signal.SIGTERM)  # at once, unlike SIGINT
            process.wait(10)


def _make_key(folder: Path) -> None:
    """A key, and a certificate that says it is 127.0.0.1's."""
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=pooler", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a key")
    subprocess.run(words, check=True, capture_output=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
