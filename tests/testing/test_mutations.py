"""What goes wrong in an application goes wrong under `Jobs`, and passes unseen under a fake."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.orm import Session

from pgqueue import App, enqueue
from pgqueue.errors import InvalidJob
from pgqueue.testing import Jobs
from tests.testing.conftest import alchemy

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Fake:
    """What many a suite has instead: it remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, dict[str, Any], dict[str, Any]]] = []

    def enqueue(self, task: Any, arguments: dict[str, Any], **options: Any) -> None:
        self.calls.append((task, arguments, options))

    def assert_enqueued(self, task: Any, **arguments: Any) -> None:
        assert (task, arguments) in [(task, arguments) for task, arguments, _ in self.calls]

    def drain(self) -> None:
        for task, arguments, _ in self.calls:
            task.fn(**arguments)


@pytest.fixture
def connection(postgres_url: str) -> Any:
    engine = create_engine(alchemy(postgres_url))
    with engine.connect() as made, made.begin() as transaction:
        yield made
        transaction.rollback()
    engine.dispose()


@pytest.mark.parametrize("argument", ["2030-01-01", NOON], ids=["right", "mutated"])
def test_arguments_that_do_not_survive_json(
    app: App, connection: Connection, argument: Any
) -> None:
    @app.task
    def bill(day: Any) -> str:
        return day.isoformat() if isinstance(argument, datetime) else str(day)

    fake, jobs = Fake(), Jobs(app, connection)
    fake.enqueue(bill, {"day": argument})
    fake.assert_enqueued(bill, day=argument)
    fake.drain()

    enqueue(connection, bill.job(day=argument))
    jobs.assert_enqueued(bill, day=argument)
    differs(isinstance(argument, datetime), AttributeError, jobs.drain)


@pytest.mark.parametrize("forgets", [False, True], ids=["right", "mutated"])
def test_a_commit_that_was_forgotten(app: App, connection: Connection, forgets: bool) -> None:
    count = app.tasks["count"]

    def handler(enqueue: Callable[..., Any]) -> None:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            enqueue(session, count, {"n": 1})
            if not forgets:
                session.commit()

    fake, jobs = Fake(), Jobs(app, connection)
    handler(lambda session, task, arguments: fake.enqueue(task, arguments))
    fake.assert_enqueued(count, n=1)

    handler(lambda session, task, arguments: enqueue(session, task.job(**arguments)))
    differs(forgets, AssertionError, lambda: jobs.assert_enqueued(count, n=1))


@pytest.mark.parametrize("mistakes", [False, True], ids=["right", "mutated"])
def test_an_enqueue_on_another_connection(
    app: App, connection: Connection, postgres_url: str, mistakes: bool
) -> None:
    count = app.tasks["count"]
    with psycopg.connect(postgres_url) as other:

        def handler(enqueue: Callable[..., Any]) -> None:
            enqueue(other if mistakes else connection, count, {"n": 1})

        fake, jobs = Fake(), Jobs(app, connection)
        handler(lambda connection, task, arguments: fake.enqueue(task, arguments))
        fake.assert_enqueued(count, n=1)

        handler(lambda connection, task, arguments: enqueue(connection, task.job(**arguments)))
        differs(mistakes, AssertionError, lambda: jobs.assert_enqueued(count, n=1))
        other.rollback()


@pytest.mark.parametrize("zone", [UTC, None], ids=["right", "mutated"])
def test_an_instant_without_a_time_zone(app: App, connection: Connection, zone: Any) -> None:
    count, due = app.tasks["count"], NOON.replace(tzinfo=zone)
    fake, jobs = Fake(), Jobs(app, connection)
    fake.enqueue(count, {"n": 1}, run_at=due)
    fake.assert_enqueued(count, n=1)

    differs(zone is None, InvalidJob, lambda: enqueue(connection, count.job(1).options(run_at=due)))
    if zone is not None:
        assert jobs.assert_enqueued(count, n=1).run_at == due


def differs(mutated: bool, error: type[BaseException], check: Callable[[], Any]) -> None:
    """*check* passes, and raises *error* of a mutation."""
    if mutated:
        with pytest.raises(error):
            check()
    else:
        check()
