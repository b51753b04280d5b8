"""The file, what lies beside it, and who has to wait."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from pgqueue import operations
from pgqueue.app import App
from pgqueue.backends.sqlite import SqliteBackend
from pgqueue.backends.sqlite import file as sqlite_file
from pgqueue.backends.sqlite import session as sqlite_session
from pgqueue.errors import PgqueueError, SchemaMissing, StoreBusy, StoreUnavailable
from pgqueue.jobs.job import State
from pgqueue.jobs.retention import Retention
from pgqueue.operations import inspections
from pgqueue.testing.conformance import Store, a_job


def synchronous(backend: SqliteBackend) -> int:
    with backend.user_connection() as connection:
        number: int = connection.execute("PRAGMA synchronous").fetchone()[0]
        return number


def move(path: str, to: str) -> None:
    Path(path).rename(to)


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("/jobs.db", "{here}/jobs.db"),
        ("/a%20b.db", "{here}/a b.db"),
        ("//var/lib/jobs.db", "/var/lib/jobs.db"),
        ("/../jobs.db", "{above}/jobs.db"),
        ("", ":memory:"),
        ("/:memory:", ":memory:"),
    ],
)
def test_a_url_names_a_file(
    rest: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = path.format(here=tmp_path.resolve(), above=tmp_path.resolve().parent)

    assert sqlite_file.parse(f"sqlite://{rest}") == (wanted, None)


def test_a_url_that_says_something_else_is_an_error() -> None:
    with pytest.raises(PgqueueError, match="three slashes"):
        SqliteBackend("sqlite://jobs.db")
    with pytest.raises(PgqueueError, match="no option mode"):
        SqliteBackend("sqlite:///jobs.db?mode=ro")
    with pytest.raises(PgqueueError, match="synchronous is normal or full, not off"):
        SqliteBackend("sqlite:///jobs.db?synchronous=off")


def test_synchronous_is_normal_unless_it_is_to_be_full(url: str) -> None:
    assert synchronous(SqliteBackend(url)) == 1
    assert synchronous(SqliteBackend(f"{url}?synchronous=full")) == 2
    backend = App(url, synchronous="full").backend
    assert isinstance(backend, SqliteBackend)
    assert synchronous(backend) == 2


def test_a_link_to_a_file_is_that_file(url: str, backend: SqliteBackend, tmp_path: Path) -> None:
    store = Store(backend)
    store.add()
    (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")

    linked = SqliteBackend(f"sqlite:///{tmp_path}/link.db")

    assert len(linked.execute(inspections.list_jobs())) == 1
    assert not (tmp_path / "link.db-locks").exists()


def test_a_file_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        SqliteBackend(f"sqlite:///{tmp_path}/missing/jobs.db").execute(inspections.version())


async def test_a_session_notices_that_the_file_is_another_one(
    store: Store, backend: SqliteBackend
) -> None:
    session = backend.session(lambda topic: None, lambda: None)
    await session.open()
    await session.check()
    move(backend.path, f"{backend.path}.old")

    with pytest.raises(StoreUnavailable, match="gone"):
        await session.check()
    await session.close()
    move(f"{backend.path}.old", backend.path)


def test_others_read_while_a_transaction_is_open_and_see_nothing_of_it(
    store: Store, backend: SqliteBackend
) -> None:
    with backend.transaction() as executor:
        id = executor.execute(operations.enqueue([a_job()]).send(None))
        assert store.missing(id)

    assert store.state(id) == State.AVAILABLE


def test_a_writer_waits_for_an_open_transaction(store: Store, backend: SqliteBackend) -> None:
    began, ended = threading.Event(), []

    def write() -> None:
        began.set()
        store.add()
        ended.append(True)

    with closing(sqlite3.connect(backend.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=write)
        thread.start()
        began.wait()
        thread.join(0.2)
        assert not ended
        other.execute("COMMIT")
    thread.join(10)

    assert ended


def test_a_transaction_that_never_ends_is_an_error_that_says_so(
    store: Store, backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    impatient = SqliteBackend(backend.url)
    impatient.execute(inspections.version())
    with (
        backend.transaction(),
        pytest.raises(StoreBusy, match="one writer at a time"),
    ):
        impatient.execute(operations.pause("default"))
    impatient.close()


async def test_a_coroutine_that_waits_leaves_the_loop_to_others(
    store: Store, backend: SqliteBackend
) -> None:
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    with closing(sqlite3.connect(backend.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(worker_connection.execute(operations.pause("default")))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        other.execute("COMMIT")
    await waiting
    await worker_connection.close()


async def test_a_cancelled_transaction_is_rolled_back(store: Store, backend: SqliteBackend) -> None:
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    entered = asyncio.Event()

    async def write() -> None:
        async with worker_connection.transaction() as executor:
            await executor.execute(operations.pause("default"))
            entered.set()
            await asyncio.sleep(600)

    writing = asyncio.create_task(write())
    await entered.wait()
    writing.cancel()
    await asyncio.wait({writing})

    assert await worker_connection.execute(inspections.version())
    store.add()
    assert store.take()
    await worker_connection.close()


async def test_one_that_is_cancelled_while_it_waits_leaves_nothing_open(
    store: Store, backend: SqliteBackend
) -> None:
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    with closing(sqlite3.connect(backend.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def write() -> None:
            async with worker_connection.transaction():
                raise AssertionError("it cannot have begun")

        writing = asyncio.create_task(write())
        await asyncio.wait({writing}, timeout=0.1)
        writing.cancel()
        await asyncio.wait({writing})
        other.execute("COMMIT")

    await worker_connection.execute(operations.pause("other"))
    store.add()
    await worker_connection.close()


def test_locks_of_the_dead_are_cleared_away(store: Store, backend: SqliteBackend) -> None:
    presence = sqlite_file.FilePresence(backend.path, "pgqueue")
    left = Path(f"{backend.path}-locks") / "pgqueue-worker-77"
    left.touch()
    assert presence.hold(5)

    assert sqlite_file.FilePresence(backend.path, "pgqueue").held() == [5]
    assert not left.exists()
    presence.let_go(5)
    assert presence.held() == []


def test_a_forked_child_is_not_its_parents_life(backend: SqliteBackend, store: Store) -> None:
    read, write = os.pipe()
    forked, is_forked = os.pipe()
    pid = os.fork()
    if pid == 0:  # a worker, with a child of its own that outlives it
        presence = sqlite_file.FilePresence(backend.path, "pgqueue")
        presence.hold(5)
        if os.fork() == 0:
            os.close(write)
            os.write(is_forked, b"!")  # what it does after a fork is done by now
            os.read(read, 1)
        os._exit(0)
    os.close(read)
    os.waitpid(pid, 0)
    assert os.read(forked, 1) == b"!"

    assert sqlite_file.FilePresence(backend.path, "pgqueue").held() == []
    os.close(write)


def test_a_turn_that_does_not_come_is_the_error_of_a_locked_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer may be stopped while it has the turn: nobody else may wait for ever."""
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    store = Store(SqliteBackend(f"sqlite:///{tmp_path}/jobs.db"))
    turn = sqlite_file.FileWriteLock(f"{tmp_path}/jobs.db")
    turn.take()
    refused: list[BaseException] = []

    def write() -> None:
        try:
            store.add()
        except PgqueueError as error:
            refused.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(20)

    assert [type(error) for error in refused] == [StoreBusy]
    assert "database is locked: another transaction has been writing" in str(refused[0])
    turn.give()
    first = store.add()  # by the same connection, whose thread still had its place in the queue
    store.backend.close()
    turn.take()  # nobody who gave up keeps it
    turn.close()
    assert store.states(first) == ["available"]


def test_a_thread_that_could_not_be_started_spoils_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    one, other = (sqlite_file.FileWriteLock(f"{tmp_path}/jobs.db") for _ in range(2))
    one.take()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            other.take()
    one.give()

    other.take(0.0)
    for lock in (one, other):
        lock.close()


def test_a_forked_child_leaves_alone_what_has_a_closed_locks_number(tmp_path: Path) -> None:
    lock = sqlite_file.FileWriteLock(str(tmp_path / "jobs.db"))
    lock.close()
    other = tmp_path / "other"
    number = os.open(other, os.O_RDWR | os.O_CREAT)  # the lowest free one: the lock's
    pid = os.fork()
    if pid == 0:
        os._exit(os.fstat(number).st_ino != other.stat().st_ino)
    _, status = os.waitpid(pid, 0)
    os.close(number)

    assert status == 0


def test_a_memory_store_is_this_processes_own() -> None:
    one, other = Store(SqliteBackend("sqlite://")), Store(SqliteBackend("sqlite:///:memory:"))
    one.add()

    assert other.listing() == []


def test_connecting_to_no_file_makes_none(tmp_path: Path) -> None:
    backend = SqliteBackend(f"sqlite:///{tmp_path}/jobs.db")
    with pytest.raises(SchemaMissing, match="there is no file"), backend.connect():
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["complete", "discard", "prune"])
def test_numbers_are_never_given_twice(store: Store, way: str) -> None:
    """Not even when the newest job has gone without a trace."""
    nothing = Retention(timedelta(0), timedelta(0), timedelta(0))
    if way != "prune":
        store.keep = nothing.archived_states()
    seen: list[int] = []
    for _ in range(5):
        job = store.running()
        seen.append(job.id)
        store.discard(job) if way == "discard" else store.complete(job)
        if way == "prune":
            store.prune(nothing)
        assert store.missing(*seen)

    assert len(set(seen)) == 5
    assert seen == sorted(seen)


async def test_what_comes_while_other_topics_are_declared_is_heard(
    store: Store, backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCH_SECONDS", "IDLE_WATCH_SECONDS"):
        monkeypatch.setattr(sqlite_session, name, 600)  # it would look by itself much later
    woken: list[str] = []
    session = backend.session(woken.append, lambda: None)
    await session.open()
    await session.subscribe(["default"])
    store.add()
    await session.subscribe(["default", "other"])

    assert woken == ["default"]
    await session.subscribe(["default", "other"])
    assert woken == ["default"]
    await session.close()


async def test_a_paused_queue_wakes_nobody_until_it_is_resumed(
    store: Store, backend: SqliteBackend
) -> None:
    store.pause()
    woken: asyncio.Queue[str] = asyncio.Queue()
    session = backend.session(woken.put_nowait, lambda: None)
    await session.open()
    await session.subscribe(["default", "told"])
    store.add()
    store.add(a_job(queue="told"))
    async with asyncio.timeout(10):
        assert await woken.get() == "told"
    store.resume()
    async with asyncio.timeout(10):
        assert await woken.get() == "default"
    await session.close()
