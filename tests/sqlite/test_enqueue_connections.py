"""`enqueue` on the application's own connection: in its transaction, and in no other."""

from __future__ import annotations

import fcntl
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import rmtree
from threading import Thread
from threading import enumerate as threads
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgqueue import App, enqueue, execute, migrations, operations
from pgqueue.backends import connections
from pgqueue.backends.borrowing import Borrowed
from pgqueue.backends.recognised import Recognised
from pgqueue.backends.sqlite.file import FileWriteLock
from pgqueue.errors import InvalidJob, SchemaMissing
from pgqueue.operations import inspections
from pgqueue.testing.conformance import a_job
from tests.cli.terminal import eventually

app = App()


@app.task
def ring(n: int = 0) -> None: ...


class Framework:
    """A framework's connection, which begins its transactions itself, as Django's does."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self.driver = driver

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self.driver.in_transaction:
            yield
            return
        self.driver.execute("BEGIN")
        with self.driver:
            yield

    def borrowed(self) -> Borrowed:
        begin = self.transaction
        return Borrowed(self.driver, self.driver.cursor, begin, begin, set(), "named")


connections.register(
    f"{__name__}.Framework", lambda found: Recognised("sqlite", False, found.borrowed)
)


class Shop:
    """An application's file, with the queue in it; sees what is committed, from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.path = url.removeprefix("sqlite:///")
        self.outside = sqlite3.connect(self.path, isolation_level=None, timeout=0.1)
        self.outside.execute("CREATE TABLE purchase (id INTEGER)")
        migrations.migrate(url)

    def jobs(self) -> list[int]:
        rows = self.outside.execute("SELECT args ->> '$.n' FROM pgqueue_job ORDER BY id")
        return [n for (n,) in rows]

    def purchases(self) -> list[int]:
        return [n for (n,) in self.outside.execute("SELECT id FROM purchase ORDER BY id")]


@pytest.fixture
def shop(url: str) -> Iterator[Shop]:
    shop = Shop(url)
    yield shop
    shop.outside.close()


def plain(shop: Shop) -> Any:
    return sqlite3.connect(shop.path)


def immediate(shop: Shop) -> Any:
    return sqlite3.connect(shop.path, isolation_level="IMMEDIATE")


def rows_by_name(shop: Shop) -> Any:
    connection = sqlite3.connect(shop.path)
    connection.row_factory = lambda cursor, row: {"row": row}
    return connection


def never_in_autocommit(shop: Shop) -> Any:
    return sqlite3.connect(shop.path, autocommit=False)  # type: ignore[call-arg,unused-ignore]


def alchemy(shop: Shop) -> Any:
    return create_engine(shop.url).connect()


def alchemy_session(shop: Shop) -> Any:
    return Session(create_engine(shop.url))


def alchemy_scoped(shop: Shop) -> Any:
    return scoped_session(sessionmaker(create_engine(shop.url)))


KINDS = [plain, immediate, rows_by_name, alchemy, alchemy_session, alchemy_scoped]
if sys.version_info >= (3, 12):
    KINDS.append(never_in_autocommit)
every_kind = pytest.mark.parametrize("kind", KINDS)
Kind = Callable[[Shop], Any]


def buy(connection: Any, n: int) -> None:
    statement = f"INSERT INTO purchase VALUES ({n})"
    driver = isinstance(connection, sqlite3.Connection)
    connection.execute(statement if driver else text(statement))


@every_kind
def test_jobs_and_data_commit_together(shop: Shop, kind: Kind) -> None:
    with closing(kind(shop)) as connection:
        buy(connection, 1)
        handle = enqueue(connection, ring.job(1))
        handles = enqueue(connection, ring.job(2).after(handle), ring.job(3))
        assert (shop.jobs(), shop.purchases()) == ([], [])
        connection.commit()

    assert (shop.jobs(), shop.purchases()) == ([1, 2, 3], [1])
    assert [h.id for h in handles] == [handle.id + 1, handle.id + 2]


@every_kind
def test_jobs_and_data_are_rolled_back_together(shop: Shop, kind: Kind) -> None:
    with closing(kind(shop)) as connection:
        enqueue(connection, ring.job(1))
        buy(connection, 1)
        connection.rollback()

    assert (shop.jobs(), shop.purchases()) == ([], [])


@every_kind
def test_the_first_statement_of_a_transaction_may_be_an_enqueue(shop: Shop, kind: Kind) -> None:
    with closing(kind(shop)) as connection:
        enqueue(connection, ring.job(1))
        assert shop.jobs() == []
        connection.commit()
        enqueue(connection, ring.job(2))
        connection.rollback()
        enqueue(connection, [ring.job(n) for n in range(2_500)])
        connection.commit()

    assert shop.jobs() == [1, *range(2_500)]


@every_kind
def test_what_is_refused_leaves_the_transaction_usable(shop: Shop, kind: Kind) -> None:
    with closing(kind(shop)) as connection:
        buy(connection, 1)
        with pytest.raises(InvalidJob, match="no job 424242"):
            enqueue(connection, ring.job(1).after(424242))
        enqueue(connection, ring.job(2))
        connection.commit()

    assert (shop.jobs(), shop.purchases()) == ([2], [1])


@every_kind
def test_any_operation_runs_in_the_transaction(shop: Shop, kind: Kind) -> None:
    with closing(kind(shop)) as connection:
        handle = enqueue(connection, ring.job(1))
        assert execute(connection, operations.cancel([handle])) == {handle.id: "cancelled"}
        assert execute(connection, inspections.get([handle]))[handle.id].state == "cancelled"
        assert execute(connection, operations.rescue()).workers == 0
        connection.rollback()
        assert execute(connection, inspections.get([handle])) == {}
        connection.rollback()


def test_in_autocommit_a_call_is_a_transaction_of_its_own(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.path, isolation_level=None)) as connection:
        enqueue(connection, ring.job(1))
        assert shop.jobs() == [1]
        parent = enqueue(connection, ring.job(2))
        with pytest.raises(InvalidJob):
            enqueue(connection, ring.job(3).after(parent), ring.job(4).after(424242))
        assert shop.jobs() == [1, 2]
        assert not connection.in_transaction
        connection.execute("BEGIN")
        enqueue(connection, ring.job(5))
        assert shop.jobs() == [1, 2]
        connection.execute("COMMIT")

    assert shop.jobs() == [1, 2, 5]


def test_a_savepoint_takes_its_own_jobs_along_and_no_others(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        enqueue(connection, ring.job(1))
        connection.execute("SAVEPOINT attempt")
        enqueue(connection, ring.job(2))
        connection.execute("ROLLBACK TO attempt")
        connection.execute("RELEASE attempt")
        enqueue(connection, ring.job(3))
        connection.execute("COMMIT")

    assert shop.jobs() == [1, 3]


def test_a_savepoint_of_sqlalchemy(shop: Shop) -> None:
    with Session(create_engine(shop.url)) as session, session.begin():
        enqueue(session, ring.job(1))
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            enqueue(session, ring.job(2))
            raise ZeroDivisionError
        enqueue(session, ring.job(3))

    assert shop.jobs() == [1, 3]


def test_a_file_without_the_queue_says_what_to_do(shop: Shop, tmp_path: Any) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "other.db")) as connection,
        pytest.raises(SchemaMissing, match="pgqueue migrate"),
    ):
        enqueue(connection, ring.job(1))


def test_another_writer_is_the_drivers_own_error(shop: Shop) -> None:
    """Who owns the transaction tries it again."""
    shop.outside.execute("BEGIN IMMEDIATE")
    with (
        closing(sqlite3.connect(shop.path, timeout=0.05)) as connection,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        enqueue(connection, ring.job(1))
    shop.outside.execute("ROLLBACK")


def test_in_autocommit_nobody_waits_for_a_turn_longer_than_its_connection_would(shop: Shop) -> None:
    """Whoever has the turn may wait for a transaction that stays open for long."""
    turn = FileWriteLock(shop.path)
    turn.take()
    shop.outside.execute("BEGIN IMMEDIATE")
    errors: list[BaseException] = []

    def impatient() -> None:
        with closing(sqlite3.connect(shop.path, isolation_level=None, timeout=0.05)) as connection:
            try:
                enqueue(connection, ring.job(1))
            except sqlite3.OperationalError as error:
                errors.append(error)

    thread = Thread(target=impatient, daemon=True)
    thread.start()
    thread.join(20)

    assert [str(error) for error in errors] == ["database is locked"]
    shop.outside.execute("ROLLBACK")
    impatient()  # the file is free, though the turn is not
    assert shop.jobs() == [1]
    turn.give()
    eventually(lambda: _is_free(shop.path))
    turn.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_frameworks_connection_in_autocommit_queues_for_its_turn(shop: Shop, jobs: int) -> None:
    """As Django's does outside a transaction; several jobs are a transaction of their own."""
    turn = FileWriteLock(shop.path)
    turn.take()

    def write() -> None:
        with closing(sqlite3.connect(shop.path, isolation_level=None, timeout=20)) as driver:
            enqueue(Framework(driver), *map(ring.job, range(jobs)))  # type: ignore[call-overload]  # registered

    thread = Thread(target=write, daemon=True)
    thread.start()
    eventually(lambda: "pgqueue-turn" in {each.name for each in threads()})
    assert shop.jobs() == []
    turn.give()
    thread.join(20)

    assert shop.jobs() == list(range(jobs))
    turn.take()  # it was given back
    turn.close()


def test_in_autocommit_a_turn_that_cannot_be_taken_refuses_nothing(shop: Shop) -> None:
    """Another user may have made the folder of the locks."""
    locks = Path(f"{shop.path}-locks")
    rmtree(locks, ignore_errors=True)
    locks.touch()
    with closing(sqlite3.connect(shop.path, isolation_level=None)) as connection:
        enqueue(connection, ring.job(1))

    assert shop.jobs() == [1]


def _is_free(path: str) -> bool:
    """Can the turn be had, as nobody who gave up waiting for it keeps it?"""
    with Path(f"{path}-locks", "turn").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_worker_takes_what_was_enqueued_in_a_transaction(shop: Shop) -> None:
    app = App(shop.url)
    with closing(sqlite3.connect(shop.path)) as connection:
        handle = enqueue(connection, a_job("elsewhere"))
        assert app.execute(inspections.get([handle])) == {}
        connection.commit()

    assert app.execute(inspections.get([handle]))[handle.id].task == "elsewhere"
    app.close()


def test_a_connection_that_wants_text_as_bytes_is_taken(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.path)) as connection:
        connection.text_factory = bytes
        first = ring.job(n=1)
        enqueue(connection, first, ring.job(n=2).after(first))
        assert connection.text_factory is bytes
        connection.commit()
        assert connection.execute("SELECT count(*) FROM pgqueue_job").fetchone() == (2,)
