"""Two PostgreSQL servers, one the streaming standby of the other; a URL that names both."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from typing import Any, Self

import psycopg

from pgqueue.embedded import Server
from tests.faults.sites.postgres import PASSWORD, PostgresSite


class StandbySite(PostgresSite):
    """Commits wait for the standby, so that what was promised survives the primary."""

    def __enter__(self) -> Self:
        self.ports: list[int] = []
        super().__enter__()
        with self.admin("postgres") as admin:
            admin.execute("CREATE ROLE streaming LOGIN REPLICATION PASSWORD 'secret'")
        self.dead: list[Server] = []
        self.standby = self.clone("standby")
        self.ports = [self.port(self.server), self.port(self.standby)]
        return self

    def __exit__(self, *error: object) -> None:
        for server in {self.standby, *self.dead}:
            server.stop("immediate")
        super().__exit__(*error)

    def clone(self, name: str) -> Server:
        """A standby of the present primary, which from now on waits for it."""
        primary = self.server
        directory = self.folder / f"store-{name}"
        data = directory / "data"
        directory.mkdir(mode=0o711)
        data.mkdir(mode=0o700)
        (directory / "lock").touch(mode=0o600)
        shutil.copy(primary.directory / "password", directory / "password")
        if account := primary.binaries.account:
            os.chown(data, account.uid, account.gid)
        source = (
            f"host=127.0.0.1 port={self.port(primary)} user=streaming password={PASSWORD}"
            f" application_name={name.replace('-', '_')}"
        )
        copied = primary.binaries.run(
            "pg_basebackup", "-D", str(data), "-d", source, "-R", "-X", "stream", "-c", "fast"
        )
        if copied.returncode:
            raise RuntimeError(copied.stderr)
        standby = Server(
            primary.binaries, directory, ephemeral=False, tcp=True, options=self.options()
        )
        standby.start()
        with self.admin("postgres") as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("SELECT pg_reload_conf()")
            while not _one(
                admin, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            ):
                time.sleep(0.05)
        return standby

    def fall_behind(self) -> None:
        """From now on nobody waits for the standby, and it hears nothing."""
        with self.admin("postgres") as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            admin.execute("SELECT pg_reload_conf()")
        with psycopg.connect(self.standby.url, autocommit=True) as standby:
            standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
            standby.execute("SELECT pg_reload_conf()")
            while _one(standby, "SELECT count(*) FROM pg_stat_wal_receiver"):
                time.sleep(0.05)

    def promote(self) -> None:
        """The primary dies, the standby takes its place."""
        self.server.kill()
        self.dead.append(self.server)
        self.server = self.standby
        with self.admin("postgres") as admin:
            admin.execute("SELECT pg_promote(true, 60)")

    def options(self) -> Mapping[str, str]:
        return {**super().options(), "wal_level": "replica", "max_wal_senders": "5"}

    def url(self, name: str) -> str:
        return self.both(name)

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        return {
            "PGQUEUE_URL": self.both(incarnation),
            "PGQUEUE_LISTEN_URL": self.both(f"{incarnation} ear"),
        }

    def both(self, name: str) -> str:
        ports = self.ports or [self.port(self.server)]
        return self.way(*ports, name=name, target_session_attrs="read-write", connect_timeout="5")


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
