"""What psycopg has prepared on the application's connection is sent without a cursor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from pgqueue import App, backends, enqueue, execute, operations
from pgqueue.backends.postgres.psycopg_prepared import prepared_name
from pgqueue.errors import PgqueueError
from pgqueue.operations import inspections
from pgqueue.statements.files import load
from pgqueue.testing.conformance.store import Store

app = App()
ONE = load("postgres")["enqueue_one"].steps[0]
OFTEN = 7  # psycopg prepares what has run five times before


@app.task
def say(text: str) -> None: ...


@pytest.fixture
def connection(backend: backends.Backend) -> Iterator[psycopg.Connection[Any]]:
    with backend.connect() as connection:
        connection.autocommit = False
        yield connection


def said(connection: psycopg.Connection[Any]) -> list[str]:
    query = "SELECT args ->> 'text' FROM pgqueue.job ORDER BY id"
    return [text for (text,) in connection.execute(query)]


def become_known(connection: psycopg.Connection[Any]) -> list[str]:
    """By what was enqueued meanwhile."""
    texts = [f"before {n}" for n in range(OFTEN)]
    for text in texts:
        enqueue(connection, say.job(text))
    assert prepared_name(connection, ONE)
    return texts


def test_what_has_run_often_is_known(connection: psycopg.Connection[Any]) -> None:
    texts = become_known(connection)
    handles = [enqueue(connection, say.job(text)) for text in ("żółw", 'a "b" \\ c', "")]

    assert said(connection) == [*texts, "żółw", 'a "b" \\ c', ""]
    assert [handle.id for handle in handles] == sorted({handle.id for handle in handles})
    for _ in range(OFTEN):  # more than a number, in the end
        [job] = execute(connection, inspections.get([handles[0].id])).values()
        assert job.args == {"text": "żółw"}


def test_so_is_it_where_each_statement_commits(connection: psycopg.Connection[Any]) -> None:
    """No transaction is begun, and none is left open."""
    connection.autocommit = True
    texts = become_known(connection)
    enqueue(connection, say.job("żółw"))

    assert connection.info.transaction_status == TransactionStatus.IDLE
    with psycopg.connect(connection.info.dsn) as other:
        assert said(other) == [*texts, "żółw"]
    with connection.transaction(force_rollback=True):
        enqueue(connection, say.job("rolled back"))
    assert said(connection) == [*texts, "żółw"]


def test_a_pipeline_where_each_statement_commits_is_a_cursors(
    connection: psycopg.Connection[Any],
) -> None:
    connection.autocommit = True
    texts = become_known(connection)
    with connection.pipeline():
        handles = [enqueue(connection, say.job(text)) for text in ("one", "two")]

    assert said(connection) == [*texts, "one", "two"]
    assert handles[0].id < handles[1].id


def test_a_job_with_a_text_of_its_own_metadata_is_known_as_well(
    connection: psycopg.Connection[Any],
) -> None:
    """What the jobs of a task share is kept; what they do not is not."""
    become_known(connection)
    handles = [
        enqueue(connection, say.job("told").options(metadata={"n": n}, priority=n))
        for n in range(3)
    ]
    jobs = execute(connection, inspections.get([handle.id for handle in handles]))

    assert [jobs[handle.id].metadata for handle in handles] == [{"n": n} for n in range(3)]
    assert [jobs[handle.id].priority for handle in handles] == [0, 1, 2]


async def test_so_is_it_on_an_async_connection(store: Store, backend: backends.Backend) -> None:
    with backend.connect() as blocking:
        url = blocking.info.dsn
    async with await psycopg.AsyncConnection.connect(url) as connection:
        handles = [await enqueue(connection, say.job(f"{n}")) for n in range(OFTEN)]
        assert prepared_name(connection, ONE)
        handles.append(await enqueue(connection, say.job("żółw")))
        await connection.commit()
        await connection.set_autocommit(True)
        handles.append(await enqueue(connection, say.job("by itself")))
        assert connection.info.transaction_status == TransactionStatus.IDLE

    texts = [job.args["text"] for job in store.jobs(*handles)]
    assert texts[-3:] == [f"{OFTEN - 1}", "żółw", "by itself"]


@pytest.mark.parametrize("gone", ["ROLLBACK", "DISCARD ALL", "DEALLOCATE ALL", "DROP TABLE other"])
def test_what_the_server_has_forgotten_is_not_known(
    connection: psycopg.Connection[Any], gone: str
) -> None:
    connection.execute("CREATE TABLE other ()")
    become_known(connection)
    connection.commit()
    connection.autocommit = gone == "DISCARD ALL"  # which no transaction takes
    connection.execute(gone.encode())
    connection.commit()
    connection.autocommit = False
    before = len(said(connection))

    assert not prepared_name(connection, ONE)
    for _ in range(OFTEN):
        enqueue(connection, say.job("after"))
    assert said(connection)[before:] == ["after"] * OFTEN


def test_nothing_is_known_where_nothing_is_to_be_prepared(
    connection: psycopg.Connection[Any],
) -> None:
    """As behind a pooler."""
    connection.prepare_threshold = None
    for _ in range(OFTEN):
        enqueue(connection, say.job("text"))

    assert not prepared_name(connection, ONE)


def test_another_encoding_is_the_cursors_business(connection: psycopg.Connection[Any]) -> None:
    texts = become_known(connection)
    connection.execute("SET client_encoding = 'LATIN1'")
    enqueue(connection, say.job("grün"))

    assert said(connection) == [*texts, "grün"]


def test_a_transaction_begins_where_there_is_none(connection: psycopg.Connection[Any]) -> None:
    texts = become_known(connection)
    connection.commit()
    enqueue(connection, say.job("rolled back"))
    assert connection.info.transaction_status == TransactionStatus.INTRANS
    connection.rollback()

    assert said(connection) == texts


def test_what_the_server_refuses_is_said_as_ever(connection: psycopg.Connection[Any]) -> None:
    connection.execute("ALTER TABLE pgqueue.job ADD CHECK (args ->> 'text' <> 'refused')")
    become_known(connection)
    with pytest.raises(psycopg.errors.CheckViolation, match="violates check") as caught:
        enqueue(connection, say.job("refused"))

    assert "refused" not in str(caught.value)
    connection.rollback()
    assert not connection.closed


def test_a_text_with_a_nul_is_refused_and_not_cut(connection: psycopg.Connection[Any]) -> None:
    for _ in range(OFTEN):
        execute(connection, operations.pause("queue"))
    assert prepared_name(connection, load("postgres")["pause"].steps[0])
    with pytest.raises((psycopg.DataError, PgqueueError), match="NUL"):
        execute(connection, operations.pause("queue\0 of another name"))


def test_a_connection_that_broke_is_said_to(connection: psycopg.Connection[Any]) -> None:
    become_known(connection)
    with psycopg.connect(connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(PgqueueError, match="PostgreSQL cannot be reached"):
        enqueue(connection, say.job("lost"))
    assert connection.closed
