"""`SELECT pgqueue.enqueue(...)`: for triggers, psql and other languages, as strict as Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import sql

from pgqueue import statement
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import InvalidJob
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.unique import Unique
from pgqueue.testing.conformance import Store, a_job

Door: TypeAlias = Callable[..., int]
TYPES = {
    "args": "jsonb",
    "metadata": "jsonb",
    "delay": "interval",
    "timeout": "interval",
    "run_at": "timestamptz",
    "tags": "text[]",
    "priority": "integer",
    "max_attempts": "integer",
}


@pytest.fixture
def user(backend: PostgresBackend) -> Iterator[psycopg.Connection[Any]]:
    """An application's connection."""
    with psycopg.connect(backend.url) as connection:
        yield connection


@pytest.fixture
def door(user: psycopg.Connection[Any]) -> Door:
    """Calls the function with these arguments, by their names."""

    def call(task: str | None = "task", **given: Any) -> int:
        named = [
            sql.SQL("{} => {}::{}").format(
                sql.Identifier(name), sql.Placeholder(name), sql.SQL(TYPES.get(name, "text"))
            )
            for name in ("task", *given)
        ]
        query = sql.SQL("SELECT pgqueue.enqueue({})").format(sql.SQL(", ").join(named))
        [(id,)] = user.execute(query, {"task": task, **given}).fetchall()
        return int(id)

    return call


def test_a_task_and_its_arguments_are_enough(store: Store, user: psycopg.Connection[Any]) -> None:
    [(id,)] = user.execute(
        """SELECT pgqueue.enqueue('send_receipt', '{"order_id": 7}', queue => 'mail')"""
    ).fetchall()
    assert store.missing(id)
    user.commit()

    job = store.job(id)
    assert (job.task, job.args, job.queue, job.state) == (
        "send_receipt",
        {"order_id": 7},
        "mail",
        "available",
    )
    assert store.take(queue="mail").id == id


def test_makes_the_job_that_python_makes(
    store: Store, user: psycopg.Connection[Any], door: Door
) -> None:
    plain = door("t")
    full = door(
        "t",
        args='{"a": [1, null]}',
        queue="q",
        priority=-32768,
        delay="01:00:00",
        max_attempts=3,
        timeout="90.5 seconds",
        unique_key="k",
        tags=["a", "b", "a"],
        metadata='{"m": 1}',
        key="tenant 7",
    )
    user.commit()
    store.now = None
    given = a_job(
        "t",
        args='{"a": [1, null]}',
        queue="q",
        priority=-32768,
        delay=timedelta(hours=1),
        max_attempts=3,
        timeout=timedelta(seconds=90.5),
        unique="other",
        tags=("a", "b", "a"),
        key="tenant 7",
        metadata='{"m": 1}',
    )
    expected = store.enqueue(a_job("t"), given)

    def columns(id: int) -> dict[str, Any]:
        job = store.job(id)
        own = {"id", "position", "enqueued_at", "run_at", "due_at", "unique_key"}
        kept = {name: getattr(job, name) for name in job.__struct_fields__ if name not in own}
        return kept | {"waits": job.run_at - job.enqueued_at}

    assert columns(plain) == columns(expected[0].id)
    assert columns(full) == columns(expected[1].id)


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"run_at": "2000-01-01T00:00:00Z"}, "available"),
        ({"run_at": "2999-01-01T00:00:00Z"}, "scheduled"),
        ({"delay": "1 second"}, "scheduled"),
        ({"delay": "0"}, "available"),
    ],
)
def test_a_job_of_later_is_scheduled(
    store: Store, user: psycopg.Connection[Any], door: Door, given: dict[str, Any], state: str
) -> None:
    id = door(**given)
    user.commit()

    assert store.state(id) == state


def test_a_held_key_answers_with_its_holder(
    store: Store, user: psycopg.Connection[Any], door: Door
) -> None:
    holder = store.add(a_job(unique="k"))

    assert door(unique_key="k") == holder
    assert door(unique_key="K") != holder
    user.commit()
    assert len(store.listing()) == 2
    store.complete(store.take())
    assert door(unique_key="k") != holder


def test_a_job_vanishes_with_its_transaction(
    store: Store, user: psycopg.Connection[Any], door: Door
) -> None:
    id = door(unique_key="k")
    user.rollback()

    assert store.missing(id)
    assert store.enqueue(a_job(unique="k"))[0].created


def test_a_trigger_enqueues_for_each_row(store: Store, user: psycopg.Connection[Any]) -> None:
    user.execute(
        """
        CREATE TABLE orders (id integer PRIMARY KEY);
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pgqueue.enqueue('ship', jsonb_build_object('order', new.id),
                                    unique_key => format('ship %s', new.id));
            RETURN new;
        END $$;
        CREATE TRIGGER shipped AFTER INSERT OR UPDATE ON orders
            FOR EACH ROW EXECUTE FUNCTION tell();
        """
    )
    user.commit()
    user.execute("INSERT INTO orders VALUES (9)")
    user.rollback()
    user.execute("INSERT INTO orders SELECT generate_series(1, 3)")
    user.execute("UPDATE orders SET id = id")
    user.commit()

    assert [store.job(job).args for job in store.claim()] == [{"order": n} for n in (1, 2, 3)]


def test_a_callers_search_path_changes_nothing(
    store: Store, user: psycopg.Connection[Any], door: Door
) -> None:
    user.execute("CREATE SCHEMA mine; CREATE TABLE mine.job (id int); SET search_path = mine")
    user.execute(
        "CREATE FUNCTION mine.length(text) RETURNS int LANGUAGE sql AS 'SELECT 1 / 0';"
        "CREATE FUNCTION mine.wake(text) RETURNS void LANGUAGE sql AS 'SELECT'"
    )
    id = door(unique_key="k")
    user.commit()

    assert store.state(id) == "available"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": None}, "task name NULL is not valid"),
        ({"task": ""}, "task name '' is not valid"),
        ({"task": "send receipt"}, "task name 'send receipt' is not valid"),
        ({"task": ".hidden"}, "task name '.hidden' is not valid"),
        ({"task": "t\n"}, "is not valid"),
        ({"task": "t" * 129}, "is not valid"),
        ({"task": "żółw"}, "is not valid"),
        ({"queue": None}, "task: queue name NULL is not valid"),
        ({"queue": "a b"}, "task: queue name 'a b' is not valid"),
        ({"args": None}, "task: args must be a JSON object"),
        ({"args": "[1]"}, "task: args must be a JSON object"),
        ({"args": '"text"'}, "task: args must be a JSON object"),
        ({"args": '{"x": "' + "y" * 2**20 + '"}'}, "task: args are 1048585 bytes, the limit is"),
        ({"priority": None}, "task: priority <NULL> is not between -32768 and 32767"),
        ({"priority": 32768}, "task: priority 32768 is not between"),
        ({"priority": -32769}, "task: priority -32769 is not between"),
        ({"max_attempts": 0}, "task: max_attempts 0 is not between 1 and 32767"),
        ({"max_attempts": 32768}, "task: max_attempts 32768 is not between"),
        ({"max_attempts": None}, "task: max_attempts <NULL> is not between"),
        ({"delay": "1 s", "run_at": "2030-01-01Z"}, "task: give run_at or delay, not both"),
        ({"delay": "-1 s"}, "task: delay -00:00:01 is negative"),
        ({"delay": "101 years"}, "task: delay 101 years is more than a hundred years"),
        ({"run_at": "infinity"}, "task: run_at must be an instant, not infinity"),
        ({"run_at": "-infinity"}, "task: run_at must be an instant, not -infinity"),
        ({"run_at": "20000-01-01Z"}, "task: run_at must be an instant, not 20000-01-01"),
        ({"timeout": "0"}, "task: timeout 00:00:00 is not positive"),
        ({"timeout": "-1 s"}, "task: timeout -00:00:01 is not positive"),
        ({"timeout": "101 years"}, "task: timeout 101 years is more than a hundred years"),
        ({"unique_key": ""}, "task: unique_key must have 1 to 512 characters"),
        ({"unique_key": "k" * 513}, "task: unique_key must have 1 to 512 characters"),
        ({"key": ""}, "task: key must have 1 to 128 characters"),
        ({"key": "k" * 129}, "task: key must have 1 to 128 characters"),
        ({"metadata": "[]"}, "task: metadata must be a JSON object"),
        ({"metadata": '{"x": "' + "y" * 2**16 + '"}'}, "task: metadata are 65545 bytes, the limit"),
        ({"tags": ["ok", "not ok"]}, "task: tag 'not ok' is not valid"),
        ({"tags": [None]}, "task: tag NULL is not valid"),
        ({"tags": [f"t{n}" for n in range(65)]}, "task: 65 tags, the limit is 64"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_and_nothing_is_enqueued(
    store: Store, user: psycopg.Connection[Any], door: Door, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        door(**given)
    user.rollback()

    said = caught.value.diag.message_primary or ""
    assert said.startswith("pgqueue: ")
    assert message in said
    assert len(said) < 400
    assert store.listing() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "a b"},
        {"queue": "a b"},
        {"args": "[1]"},
        {"priority": 32768},
        {"max_attempts": 0},
        {"timeout": timedelta(0)},
        {"timeout": timedelta(days=36526)},
        {"delay": timedelta(seconds=-1)},
        {"delay": timedelta(days=36526)},
        {"run_at": datetime(9999, 6, 1, tzinfo=UTC)},
        {"unique": ""},
        {"unique": "k" * 513},
        {"tags": ("a b",)},
        {"tags": tuple(f"t{n}" for n in range(65))},
        {"metadata": "[]"},
        {"metadata": '{"x": "' + "y" * 2**16 + '"}'},
    ],
    ids=str,
)
def test_python_refuses_what_sql_refuses(
    user: psycopg.Connection[Any], door: Door, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidJob):
        NewJob(**{"task": "task", **wrong})
    given = {"unique_key" if name == "unique" else name: value for name, value in wrong.items()}
    given = {name: list(v) if isinstance(v, tuple) else v for name, v in given.items()}
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        door(**given)


def test_says_until_when_a_key_holds(postgres_url: str, store: Store) -> None:
    def ask(until: str) -> int:
        sql = b"SELECT pgqueue.enqueue('t', unique_key => 'k', unique_until => %s)"
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            [row] = connection.execute(sql, [until]).fetchall()
        return int(row[0])

    store.now = None
    hourly, first = ask("1 hour"), ask("started")
    assert (ask("1 hour"), ask("started"), ask("finished")) == (hourly, first, first)
    assert len(store.claim()) == 2
    second = ask("started")
    assert second not in (hourly, first)
    assert ask("started") == second
    assert list(store.outcomes(second)) == [(second, first)]
    for wrong in ("soon", "0 seconds", "-1 hour", "200 years"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="says no time"):
            ask(wrong)


def test_a_statement_says_so_too(postgres_url: str, store: Store) -> None:
    handles = []
    for until in ("started", 90.5):
        asked = statement(a_job().options(unique=Unique(key="k", until=until)))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            handles += [
                connection.execute(asked.sql.encode(), asked.params).fetchall() for _ in "ab"
            ]

    assert handles[0] == handles[1] != handles[2] == handles[3]
    with pytest.raises(InvalidJob, match="unique: conflict: the SQL function has none"):
        statement(a_job().options(unique=Unique(key="k", conflict="raise")))
