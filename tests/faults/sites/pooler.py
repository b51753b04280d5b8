"""PostgreSQL behind PgBouncer in transaction mode; one worker in two has a direct way to LISTEN."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from typing import Self

from tests.faults.sites.postgres import PASSWORD, PostgresSite

# A superuser must not run it.
PROGRAM = "pgbouncer"
ACCOUNTS = ("postgres", "nobody")
SETTINGS = """
[databases]
shop = host=127.0.0.1 port={server} dbname=shop user=shop password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 15
max_client_conn = 500
server_login_retry = 0.2
ignore_startup_parameters = extra_float_digits
"""


def missing() -> str | None:
    """What this machine lacks for it."""
    if find_spec("pgqueue.backends.postgres.pooler") is None:
        return "pgqueue to find out that there is a pooler"
    return None if shutil.which(PROGRAM) else "PgBouncer (Debian's package pgbouncer)"


class PoolerSite(PostgresSite):
    """Workers reach the server through the pooler; the producer too."""

    def __enter__(self) -> Self:
        super().__enter__()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.pooler_port = probe.getsockname()[1]
        self.start_pooler()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop_pooler()
        super().__exit__(*error)

    def start_pooler(self) -> None:
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            SETTINGS.format(server=self.port(self.server), port=self.pooler_port, password=PASSWORD)
        )
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self.pooler = subprocess.Popen(
                [PROGRAM, str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=_account(),
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.pooler_port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("PgBouncer does not start: " + log.name)

    def stop_pooler(self) -> None:
        if self.pooler.poll() is None:
            self.pooler.send_signal(signal.SIGKILL)
        self.pooler.wait(10)

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        pooled = self.way(self.pooler_port, name=incarnation)
        direct = self.way(self.gate(f"{slot} ear").port, name=f"{incarnation} ear")
        return {
            "PGQUEUE_URL": pooled,
            "PGQUEUE_LISTEN_URL": direct if slot in ("w1", "w3") else pooled,
        }


def _account() -> int | None:
    """The user to become: PgBouncer refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    return None
