"""The database server: restarted, crashed, killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from pgqueue.errors import NoServer
from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind, Missed


class ServerFault(Kind):
    measure = "queue"
    lasts = (0.0, 1.5)

    def heal(self) -> None:
        for attempt in range(3):  # a server that was killed may hold its memory for a moment
            try:
                return self.site.server.start()
            except NoServer:
                if attempt == 2:
                    raise
        return None


class ServerRestarted(ServerFault):
    """An orderly restart: sessions are closed, what had committed is written."""

    name = "database-restarted"
    robs = False
    lasts = (0.0, 0.0)

    def strike(self) -> frozenset[str]:
        self.site.server.restart("fast")
        return EVERYBODY


class ServerCrashed(ServerFault):
    """An immediate stop: what was not flushed is gone."""

    name = "database-crashed"
    lasts = (0.0, 0.0)

    def strike(self) -> frozenset[str]:
        self.site.server.restart("immediate")
        return EVERYBODY


class PostmasterKilled(ServerFault):
    """SIGKILL of the postmaster; the server stays away for a while."""

    name = "postmaster-killed"

    def strike(self) -> frozenset[str]:
        self.site.server.kill()
        return EVERYBODY


class BackendKilled(ServerFault):
    """SIGKILL of one backend: the server takes all sessions down, and recovers by itself."""

    name = "backend-killed"
    lasts = (0.0, 0.0)

    def strike(self) -> frozenset[str]:
        with self.site.admin() as admin:
            row = admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'w%%'"
                " ORDER BY random() LIMIT 1"
            ).fetchone()
        if row is None:
            raise Missed("no backend of a worker's")
        with suppress(ProcessLookupError):
            os.kill(row[0], signal.SIGKILL)
        return EVERYBODY

    def heal(self) -> None:
        self.site.await_answer()
