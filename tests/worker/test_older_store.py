"""A store that has gone back, or is another one, under workers that live on."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from pgqueue import App, embedded, operations
from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.errors import StoreUnavailable
from pgqueue.jobs.job import State
from pgqueue.operations import Operation, inspections
from pgqueue.worker import Options, Worker
from pgqueue.worker.agents.declarer import Declarer
from tests import valkey
from tests.conftest import require_valkey
from tests.databases import migrate
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work
from tests.worker.process import Shop, WorkerProcess, eventually, soon
from tests.worker.store import Store, ended

T = TypeVar("T")
ANEW = r"worker {} has dropped its (\d+) jobs and goes on as worker (\d+)"


def beats(store: Store, worker: int) -> bool:
    """Has it said that it lives?"""
    found = {one.id: one for one in store.app.execute(inspections.workers())}
    return worker in found and found[worker].info.get("beats", 0) > 0


def runs_once_more(worker: WorkerProcess, store: Store, shop: Shop, job: int, before: int) -> None:
    """*worker* drops what it has, as *before*, and runs *job* under its new identity."""
    anew = worker.logs(ANEW.format(before))
    eventually(lambda: store.job(job).worker == int(anew[2]))
    eventually(lambda: shop.marks("start")[-1].attempt == store.job(job).attempt)
    shop.open()
    eventually(lambda: store.all_finished([job]))

    assert len(shop.marks("interrupted")) == int(anew[1]) == len(shop.marks("start")) - 1
    assert len(shop.marks("end")) == 1
    assert store.job(job).state == State.COMPLETED
    assert store.job(job).worker == int(anew[2]) != before
    assert [one.id for one in store.app.execute(inspections.workers())] == [int(anew[2])]
    assert worker.log.count("has dropped its") == 1
    assert "Traceback" not in worker.log


def test_a_backup_of_a_server_is_put_back(start: Start, shop: Shop, tmp_path: Path) -> None:
    with embedded.start(ephemeral=True) as server:
        migrate(server.url)
        store = Store(server.url)
        [job] = store.enqueue(tasks.pack.job())
        store.app.close()
        data, backup = server.directory / "data", server.directory / "backup"
        server._end(signal.SIGINT)
        subprocess.run(["cp", "-a", data, backup], check=True)
        server.start()
        worker = start(server.url, heartbeat_interval=0.5, term=1)
        before = worker.worker
        eventually(lambda: len(shop.marks("start")) == 1 and beats(store, before))
        store.app.close()

        server._end(signal.SIGQUIT)
        shutil.rmtree(data)
        backup.rename(data)
        server.start()

        runs_once_more(worker, store, shop, job.id, before)
        worker.send(signal.SIGTERM)
        assert worker.ends() == 0
        store.app.close()


def test_a_server_loses_the_last_moments(start: Start, shop: Shop) -> None:
    """As after a failover to a standby that was behind: the worker is known, as it was before."""
    with embedded.start(ephemeral=True) as server:
        migrate(server.url)
        store = Store(server.url)
        worker = start(server.url, heartbeat_interval=0.5, term=1)
        before = worker.worker
        eventually(lambda: beats(store, before))
        store.app.close()
        data, backup = server.directory / "data", server.directory / "backup"
        server._end(signal.SIGINT)
        subprocess.run(["cp", "-a", data, backup], check=True)
        server.start()
        [job] = store.enqueue(tasks.pack.job())
        eventually(lambda: len(shop.marks("start")) == 1)
        [known] = store.app.execute(inspections.workers())
        eventually(
            lambda: store.app.execute(inspections.workers())[0].info["beats"] > known.info["beats"]
        )
        store.app.close()

        server._end(signal.SIGQUIT)
        shutil.rmtree(data)
        backup.rename(data)
        server.start()

        worker.logs(f"the store is an older one; {ANEW.format(before)}")
        [again] = store.enqueue(tasks.pack.job())
        assert again.id == job.id
        runs_once_more(worker, store, shop, job.id, before)
        store.app.close()


def test_a_file_is_replaced_by_an_older_one(start: Start, shop: Shop, tmp_path: Path) -> None:
    file, backup = tmp_path / "jobs.db", tmp_path / "backup.db"
    store = Store(f"sqlite:///{file}")
    [job] = store.enqueue(tasks.pack.job())
    store.app.close()
    shutil.copy(file, backup)
    worker = start(store.url, heartbeat_interval=0.5, term=1)
    before = worker.worker
    eventually(lambda: len(shop.marks("start")) == 1 and beats(store, before))
    store.app.close()

    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    # Three files cannot be replaced at once. A worker that opened the new one between the two steps
    # would lose its log to the second step, so nobody opens anything meanwhile.
    worker.send(signal.SIGSTOP)
    for name in ("jobs.db-wal", "jobs.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    backup.replace(file)
    worker.send(signal.SIGCONT)

    runs_once_more(worker, store, shop, job.id, before)
    store.app.close()


def test_a_redis_is_emptied(start: Start, shop: Shop) -> None:
    require_valkey()
    with valkey.server() as server:
        store = Store(server.url)
        [job] = store.enqueue(tasks.pack.job())
        worker = start(store.url, heartbeat_interval=0.5, term=1)
        before = worker.worker
        eventually(lambda: len(shop.marks("start")) == 1 and beats(store, before))

        with store.app.backend.connect() as client:
            client.flushall()
        [again] = store.enqueue(tasks.pack.job())

        assert again.id == job.id
        runs_once_more(worker, store, shop, job.id, before)
        store.app.close()


async def test_limits_are_declared_before_the_worker_joins_anew(app: App, work: Work) -> None:
    """Who has joined may claim, beyond limits that the older store does not know."""
    app.queue("default", concurrency=3)
    worker = await work()
    listener, asked = worker._agents.listener, list[str]()

    class Session:
        async def execute(self, operation: Operation[T]) -> T:
            asked.append(operation.name)
            return await worker._agents.completions.execute(operation)

    listener._session, session = cast(Any, Session()), listener._session
    try:
        await listener._join_anew("the store is an older one")
    finally:
        listener._session = session

    assert asked.index("limit") < asked.index("join")


class Late:
    """A connection of the worker's own whose answers arrive when *meanwhile* has happened."""

    def __init__(self, runner: AsyncOperationRunner, meanwhile: Callable[[], Awaitable[None]]):
        self._runner = runner
        self._meanwhile = meanwhile

    async def execute(self, operation: Operation[T]) -> T:
        answer = await self._runner.execute(operation)
        await self._meanwhile()
        return answer


async def test_a_quiet_worker_that_joins_anew_is_still_quiet(app: App, work: Work) -> None:
    """It was taken for dead, or the store was put back: nobody said that it may claim again."""
    agents = (await work(heartbeat_interval=0.3))._agents
    listener, fetcher = agents.listener, agents.fetcher
    before = listener.worker
    await app.execute_async(operations.direct([before], "quiet"))
    await soon(lambda: fetcher._quiet)

    await app.execute_async(operations.leave(before))
    await soon(lambda: listener.worker != before and listener.beats > 1)

    found = await app.execute_async(inspections.workers())
    assert [(worker.id, worker.asked) for worker in found] == [(listener.worker, "quiet")]
    assert fetcher._quiet


async def test_an_answer_of_before_a_sign_of_life_makes_no_store_an_older_one(work: Work) -> None:
    """Connections that are opened anew are looked at beside the heartbeat."""
    agents = (await work())._agents
    before = agents.listener.worker

    await agents.listener.recognise(Late(agents.completions, agents.heartbeater.beat))

    assert agents.listener.worker == before
    assert agents.listener.line.is_open


async def test_an_answer_about_who_the_worker_was_says_nothing_about_who_it_is(work: Work) -> None:
    agents = (await work())._agents
    listener = agents.listener
    before = listener.worker

    async def goes_on_as_another() -> None:
        listener.membership = listener.membership._replace(worker=before + 1)
        listener.beats = 7

    await listener.recognise(Late(agents.completions, goes_on_as_another))

    assert listener.line.is_open
    listener.membership = listener.membership._replace(worker=before)


async def test_a_redis_is_emptied_while_a_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    require_valkey()
    declare, enqueued = Declarer.declare_schedules, []
    with valkey.server() as server, closing(App(server.url, name="shop")) as app:

        @app.task(schedule="every hour")
        async def ring() -> None: ...

        async def late(declarer: Declarer) -> None:
            with app.backend.connect() as client:
                client.flushall()
            enqueued.append(app.enqueue(ring.job()))
            declarer._line.lost(StoreUnavailable("the server has started again"))
            await declare(declarer)

        monkeypatch.setattr(Declarer, "declare_schedules", late)
        await Worker(app, Options(queues="default", drain=True, start_timeout=20)).run()

        assert (await ended(app, enqueued[0])).state == State.COMPLETED
