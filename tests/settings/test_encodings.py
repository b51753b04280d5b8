"""Databases and clients whose text is not UTF-8."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from pgqueue import enqueue, execute, migrations, operations
from pgqueue.backends.plans import carry_out
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import InvalidJob, UnsupportedConnection
from pgqueue.jobs.job import NewJob
from pgqueue.operations import inspections
from pgqueue.testing.conformance import PROFILE
from tests.settings.conftest import ADatabase, is_set

# An encoding of the server's, what it can say, and what it cannot.
SPOKEN = {
    "LATIN1": "naïve café",
    "EUC_JP": "日本語",
    "SQL_ASCII": "日本語 … naïve",
    "UTF8": "日本語 … \N{GRINNING FACE}",
}
UNSPOKEN = {"LATIN1": "日本語 …", "EUC_JP": "\N{GRINNING FACE}"}
# What a client in such an encoding may write, which is no UTF-8.
FOREIGN = {"SQL_ASCII": (b"\xe9", "SQL_ASCII"), "EUC_JP": (b"\xfe\xfe", "EUC_JP")}
HOWS = ["ALTER DATABASE", "URL"]
CLIENTS = ["LATIN1", "SQL_ASCII", "EUC_JP", "WIN1252"]


def of_text(text: str, **options: Any) -> NewJob[Any]:
    return NewJob("say", operations.as_json({"text": text}), **options)


def claimed(url: str) -> list[Any]:
    """The arguments of all that waits, taken as a worker takes it."""
    backend = PostgresBackend(url)
    worker = backend.execute(operations.join(PROFILE)).worker
    jobs = backend.execute(operations.claim("default", worker, 1, 100))
    backend.close()
    return [json.loads(job.args) for job in jobs]


@pytest.mark.parametrize("encoding", SPOKEN)
def test_what_the_database_can_say_comes_back(a_database: ADatabase, encoding: str) -> None:
    url = a_database(encoding)
    migrations.migrate(url)
    jobs = [of_text(SPOKEN[encoding]), of_text("b", unique=SPOKEN[encoding])]
    with psycopg.connect(url, client_encoding="UTF8") as connection:
        enqueue(connection, jobs)

    assert claimed(url) == [{"text": SPOKEN[encoding]}, {"text": "b"}]


@pytest.mark.parametrize("encoding", UNSPOKEN)
def test_what_the_database_cannot_say_is_refused_in_a_sentence(
    a_database: ADatabase, encoding: str
) -> None:
    url = a_database(encoding)
    migrations.migrate(url)
    for job in (of_text(UNSPOKEN[encoding]), of_text("b", unique=UNSPOKEN[encoding])):
        with (
            psycopg.connect(url, client_encoding="UTF8") as connection,
            pytest.raises(InvalidJob, match=f"the database's encoding.*{encoding}"),
        ):
            enqueue(connection, job)

    assert claimed(url) == []


@pytest.mark.parametrize("encoding", FOREIGN)
def test_a_row_that_is_not_text_for_everybody_is_refused(
    a_database: ADatabase, encoding: str
) -> None:
    """It would keep all claims of its queue from being read."""
    url = a_database(encoding)
    migrations.migrate(url)
    text, client = FOREIGN[encoding]
    for call in (
        b"SELECT pgqueue.enqueue('say', '{\"text\": \"%s\"}')",
        b"SELECT pgqueue.enqueue('say', unique_key => '%s')",
        b"SELECT pgqueue.enqueue('say', metadata => '{\"a\": \"%s\"}')",
    ):
        with (
            psycopg.connect(url, client_encoding=client) as connection,
            pytest.raises((psycopg.errors.CharacterNotInRepertoire, psycopg.errors.DataError)),
        ):
            connection.execute(call % text)

    assert claimed(url) == []


@pytest.mark.parametrize(
    ("how", "client"),
    [*(("PGCLIENTENCODING", client) for client in CLIENTS), *((how, "LATIN1") for how in HOWS)],
)
def test_our_own_connections_speak_utf_8(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, client: str, how: str
) -> None:
    url = postgres_url
    if how == "PGCLIENTENCODING":
        monkeypatch.setenv("PGCLIENTENCODING", client)
    elif how == "ALTER DATABASE":
        is_set(url, client_encoding=f"'{client}'")
    else:
        url += f"{'&' if '?' in url else '?'}client_encoding={client}"
    migrations.migrate(url, to="base")
    migrations.migrate(url)
    backend = PostgresBackend(url)
    with backend.transaction() as runner:
        [handle] = carry_out(operations.enqueue([of_text(SPOKEN["UTF8"])]), runner.execute)
    [job] = backend.execute(inspections.get([handle])).values()
    backend.close()

    assert job.args == {"text": SPOKEN["UTF8"]}
    assert claimed(url) == [{"text": SPOKEN["UTF8"]}]


@pytest.mark.parametrize("client", CLIENTS)
def test_an_application_may_speak_another_encoding(postgres_url: str, client: str) -> None:
    """Its jobs say what they like all the same, and it goes on as before."""
    said = SPOKEN["UTF8"]
    jobs = [
        of_text(said),
        of_text(said, unique=said),
        of_text(said, unique=said),
        of_text(said, metadata=operations.as_json({"a": said})),
    ]
    with psycopg.connect(postgres_url, client_encoding=client) as connection:
        handles = enqueue(connection, jobs)
        for job in jobs:
            enqueue(connection, job)
        found = inspections.get(handles)
        assert connection.info.parameter_status("client_encoding") == client
        seen = [job.args for job in execute(connection, found).values()]

    assert handles[1].id == handles[2].id
    assert [handle.created for handle in handles] == [True, True, False, True]
    assert seen == [{"text": said}] * 3
    assert claimed(postgres_url) == [{"text": said}] * 5


async def test_an_applications_event_loop_may_speak_another_encoding(postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(
        postgres_url, client_encoding="SQL_ASCII"
    ) as connection:
        first = await enqueue(connection, of_text("日本語", unique="日本語"))
        second = await enqueue(connection, of_text("日本語", unique="日本語"))

    assert (second.id, second.created) == (first.id, False)


def test_in_autocommit_and_after_a_failure_it_speaks_as_before(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, client_encoding="LATIN1", autocommit=True) as connection:
        enqueue(connection, of_text("日本語"))
        with pytest.raises(ValueError, match="workflow"), connection.transaction():
            enqueue(connection, of_text("日本語"))
            raise ValueError("workflow")
        assert connection.execute("SHOW client_encoding").fetchone() == ("LATIN1",)
        with connection.pipeline(), pytest.raises(UnsupportedConnection, match="LATIN1"):
            enqueue(connection, of_text("日本語"))

    assert len(claimed(postgres_url)) == 1


def test_a_row_of_before_that_nobody_could_read_is_named(a_database: ADatabase) -> None:
    url = a_database("SQL_ASCII")
    migrations.migrate(url, to="0003")
    with psycopg.connect(url, client_encoding="SQL_ASCII") as connection:
        connection.execute(b"SELECT pgqueue.enqueue('say', '{\"text\": \"\xe9\"}')")
        connection.execute(b"SELECT pgqueue.enqueue('say')")
    with pytest.raises(SQLAlchemyError, match=r"cannot be read as UTF-8: \{1\}"):
        migrations.migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM pgqueue.job WHERE id = 1")
    migrations.migrate(url)

    assert claimed(url) == [{}]
    migrations.migrate(url, to="0003")
    migrations.migrate(url)
