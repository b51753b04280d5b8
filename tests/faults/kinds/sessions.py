"""Sessions at the server: terminated, cancelled, used up."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import psycopg

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind, Missed
from tests.faults.kinds.processes import OneWorker

EAR = "%s ear"


class SessionsFault(Kind):
    """*who*: which of a worker's sessions, by their application's name."""

    measure = "workers"

    def terminate(self, names: list[str], function: str = "pg_terminate_backend") -> None:
        """Raises Missed when there is no such session."""
        with self.site.admin() as admin:
            answer = admin.execute(
                f"SELECT {function}(pid) FROM pg_stat_activity"
                " WHERE application_name = ANY (%s)".encode(),
                [names],
            )
        if not answer.rowcount:
            raise Missed(f"no session of {', '.join(names)}")


class ListenTerminated(SessionsFault):
    """`pg_terminate_backend` on the connection that listens and shows presence."""

    name = "listen-terminated"
    robs = False

    def strike(self) -> frozenset[str]:
        worker = self.scene.victim()
        self.terminate([EAR % worker.name])
        return frozenset({worker.name})


class StatementsTerminated(SessionsFault):
    """On those that claim and complete, and on a task's own."""

    name = "statements-terminated"
    robs = False

    def strike(self) -> frozenset[str]:
        worker = self.scene.victim()
        self.terminate([worker.name])
        return frozenset({worker.name})


class StatementsCancelled(SessionsFault):
    """`pg_cancel_backend`, again and again: whatever a worker is asking is interrupted."""

    name = "statements-cancelled"
    robs = False

    def strike(self) -> frozenset[str]:
        worker = self.scene.victim()
        for _ in range(50):
            self.terminate([worker.name, EAR % worker.name], "pg_cancel_backend")
            time.sleep(0.01)
        return frozenset({worker.name})


class EverySessionTerminated(SessionsFault):
    """Everybody's, the producer's too."""

    name = "every-session-terminated"
    robs = False
    measure = "queue"

    def strike(self) -> frozenset[str]:
        with self.site.admin() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'"
            )
        return EVERYBODY


class ConnectionsUsedUp(OneWorker, SessionsFault):
    """Others have taken every connection, and one worker has lost its own."""

    name = "connections-used-up"
    measure = "workers"
    lasts = (2.0, 5.0)

    def befall(self, worker: Any) -> None:
        self._taken: list[psycopg.Connection[Any]] = []
        self._take()
        with suppress(Missed):
            self.terminate([worker.name, EAR % worker.name])
        self._take()

    def _take(self) -> None:
        with suppress(psycopg.OperationalError):
            while len(self._taken) < 500:
                self._taken.append(psycopg.connect(self.site.url("greedy")))

    def heal(self) -> None:
        for connection in self._taken:
            with suppress(psycopg.Error):
                connection.close()
