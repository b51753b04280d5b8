"""pgqueue itself, through what its users import."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from benchmarks.contenders.agent import Agent, Unable, main, payload, seen
from benchmarks.contenders.through import Through
from pgqueue import App, NewJob, enqueue, migrations, operations
from pgqueue.jobs.limits import Limits
from pgqueue.worker import Options, Worker
from pgqueue.worker.telemetry.meter import Meter
from pgqueue.worker.worker import spare_the_collector

app = App()


@app.task(name="noop")
async def noop(sent: float) -> None:
    seen(sent)


@app.task(name="carry")
async def carry(sent: float, body: str) -> None:
    seen(sent)


@app.task(name="rest")
async def rest(sent: float, seconds: float) -> None:
    seen(sent)
    await asyncio.sleep(seconds)


@app.task(name="noted", key="{key}")
async def noted(key: str, seconds: float) -> None:
    seen(0.0)
    with seen.running(key):
        await asyncio.sleep(seconds)


class Pgqueue(Agent):
    """On PostgreSQL in the caller's transaction; elsewhere through the application's own door."""

    connection: psycopg.Connection[Any]

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        super().__init__(url, options)
        if options.get("traced"):
            from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

            from pgqueue.contrib.otel import PgqueueInstrumentor

            provider = TracerProvider()
            provider.add_span_processor(SpanProcessor())  # it has the spans, and does nothing
            PgqueueInstrumentor().instrument(tracer_provider=provider)
        if options.get("uncounted"):
            for told in ("ends", "confirmed"):
                setattr(Meter, told, lambda *_: None)

    @property
    def _is_postgres(self) -> bool:
        return self.url.startswith("postgres")

    async def install(self) -> None:
        if not self.url.startswith("redis"):
            migrations.migrate(self.url)

    async def open(self) -> None:
        app.use(self.url)
        if self._is_postgres:
            self.connection = psycopg.connect(self.url, autocommit=True)
        if "through" in self.options:
            self._through = Through(self.options["through"], self.url)
            await self._through.open()

    async def close(self) -> None:
        app.close()
        if self._is_postgres:
            self.connection.close()
        if "through" in self.options:
            await self._through.close()

    async def enqueue(self, sent: float) -> None:
        if "through" in self.options:
            await self._through.write(lambda connection: enqueue(connection, noop.job(sent)))
        elif self._is_postgres:
            with self.connection.transaction():
                enqueue(self.connection, noop.job(sent))
        else:
            app.enqueue(noop.job(sent))

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
        keys: int = 0,
    ) -> None:
        if seconds:
            jobs = [rest.job(sent, seconds) for _ in range(count)]
        elif size:
            body = payload(size)
            jobs = [carry.job(sent, body) for _ in range(count)]
        else:
            jobs = [noop.job(sent) for _ in range(count)]
        if keys:
            jobs = [job.options(key=f"k{n % keys}") for n, job in enumerate(jobs)]
        if priorities > 1:
            jobs = [job.options(priority=n % priorities) for n, job in enumerate(jobs)]
        self._enqueue(jobs)

    async def limit(self, **fields: Any) -> None:
        """What the queue allows, by its names in `app.queue`."""
        app.execute(operations.declare_limits("default", Limits(**fields)))

    async def fill_limited(self, count: int, *, keys: int, limit: int, seconds: float) -> None:
        await self.limit(key_concurrency=limit)
        self._enqueue([noted.job(f"k{n % keys}", seconds) for n in range(count)])

    async def new_key(self) -> float:
        """How many seconds a single job of a new key waits until it starts."""
        job = noop.job(time.time()).options(key="new")
        number = self._enqueue([job])
        while True:
            found = self._one(
                f"SELECT claimed_at - enqueued_at FROM pgqueue.jobs WHERE id = {number}"
            )
            if found is not None:
                return float(found.total_seconds())
            await asyncio.sleep(0.002)

    def _enqueue(self, jobs: list[NewJob[None]]) -> int:
        if self._is_postgres:
            return enqueue(self.connection, jobs)[0].id
        return app.enqueue(jobs)[0].id

    async def schedule(self, due: list[float]) -> None:
        self._enqueue([noop.job(at).options(run_at=datetime.fromtimestamp(at, UTC)) for at in due])

    async def unfinished(self) -> bool:
        if self._is_postgres:
            return bool(self._one("SELECT EXISTS (SELECT FROM pgqueue.job)"))
        from pgqueue.operations import inspections

        return any(count.count for count in app.execute(inspections.count(limit=1)).counts)

    async def ended(self) -> float | None:
        if not self._is_postgres:
            return None
        found = self._one("SELECT extract(epoch FROM max(finished_at)) FROM pgqueue.archive")
        return None if found is None else float(found)

    async def done(self) -> list[float]:
        if not self._is_postgres:
            raise Unable("measured on PostgreSQL only")
        found = self.connection.execute(
            "SELECT extract(epoch FROM finished_at)::float8 - (args ->> 'sent')::float8"
            " FROM pgqueue.archive_completed"
            " WHERE task = 'noop' AND (args ->> 'sent')::float8 > 0"
        )
        return [spent for (spent,) in found]

    async def graph(self, parents: list[list[int]]) -> None:
        jobs: list[NewJob[None]] = []
        for before in parents:
            jobs.append(noop.job(0.0).after(*(jobs[parent] for parent in before)))
        self._first_of_graph = self._enqueue(jobs)

    async def hops(self) -> list[float]:
        found = self.connection.execute(
            "SELECT extract(epoch FROM c.claimed_at - max(p.finished_at))::float8"
            " FROM pgqueue.dependency AS d"
            " JOIN pgqueue.archive_completed AS c ON c.id = d.child_id"
            " JOIN pgqueue.archive_completed AS p ON p.id = d.parent_id"
            " WHERE d.child_id >= %s GROUP BY c.id, c.claimed_at",
            (self._first_of_graph,),
        )
        return [seconds for (seconds,) in found]

    async def stock(self, waiting: int, scheduled: int, finished: int) -> None:
        if not self._is_postgres:
            raise Unable("measured on PostgreSQL only")
        for state, run_at, count in (
            ("available", "now()", waiting),
            ("scheduled", "now() + interval '1 day'", scheduled),
        ):
            self.connection.execute(
                "INSERT INTO pgqueue.job (run_at, state, task, args)"
                f" SELECT {run_at}, '{state}', 'noop', '{{\"sent\": 0}}'"
                f" FROM generate_series(1, {count})".encode()
            )
        self.connection.execute(
            "INSERT INTO pgqueue.archive (id, run_at, enqueued_at, claimed_at, finished_at,"
            " priority, attempt, max_attempts, rescues, state, queue, task, args)"
            " SELECT nextval('pgqueue.job_id'), t, t, t, t,"
            " 0, 1, 10, 0, 'completed', 'default', 'noop', '{\"sent\": 0}'"
            " FROM generate_series(1, %s), LATERAL (SELECT now() AS t) AS instant",
            (finished,),
        )
        self.connection.execute("VACUUM (ANALYZE) pgqueue.job, pgqueue.archive")

    async def cycle(self, count: int) -> float:
        """With a floor, as a worker does; on its connection, each in a transaction of its own."""
        if not self._is_postgres:
            raise Unable("measured on PostgreSQL only")
        profile = {"name": "benchmark", "host": "localhost", "pid": 1, "queues": ["default"]}
        worker, lease = app.execute(operations.join(profile | {"started_at": datetime.now(UTC)}))
        floors: dict[int, int] = {}
        began = time.monotonic()
        for number in range(count):
            known = [operations.Floor(*floor) for floor in sorted(floors.items())]
            claim = operations.claim("default", worker, lease + number, 1, floors=known)
            (job,) = app.execute(claim)
            floors[job.priority] = job.position
            app.execute(operations.complete([operations.Completed(job.id, job.lease)]))
        return time.monotonic() - began

    def _one(self, query: str) -> Any:
        return self.connection.execute(query.encode()).fetchall()[0][0]

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        app.use(self.url)
        app.prepare()
        spare_the_collector()  # as the command line does
        worker = Worker(app, Options(concurrency=concurrency))
        running = asyncio.ensure_future(worker.run())
        started = asyncio.ensure_future(worker.started.wait())
        await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        ready()
        await stop.wait()
        worker.stop()
        await running


if __name__ == "__main__":
    main(Pgqueue)
