"""docs/drivers.md: its blocks are run as they stand, on the drivers themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import databases
import peewee
import pg8000.dbapi
import psycopg
import psycopg2
import pytest
import sqlalchemy
import tortoise
from pony import orm

from pgqueue import App, NewJob, State, enqueue, statement
from pgqueue.backends import connections
from pgqueue.errors import InvalidJob, UnsupportedConnection
from pgqueue.operations import inspections
from tests.postgres.roles import a_role, as_role

PAGE = Path(__file__).parents[2].joinpath("docs", "drivers.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ANNOYING = "100 % of 'it' %s %(x)s :x $1 \\ \u2603"


@pytest.fixture
def page(app: App, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's blocks define, with a task and a table of the application's."""
    monkeypatch.setattr(connections, "_REGISTERED", dict(connections._REGISTERED))

    @app.task(queue="mail")
    def send_receipt(order_id: int) -> None: ...

    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE purchase (id bigint)")
    names: dict[str, Any] = {"send_receipt": send_receipt}
    for block in BLOCKS:
        exec(block, names)
    return names


def enqueued(app: App, id: int) -> tuple[str, str, dict[str, Any]]:
    [job] = app.execute(inspections.get([id])).values()
    return job.task, job.queue, job.args


def test_psycopg2(page: dict[str, Any], app: App, postgres_url: str) -> None:
    connection = psycopg2.connect(postgres_url)
    assert enqueued(app, page["order"](connection, 7)) == (
        "send_receipt",
        "mail",
        {"order_id": 7},
    )

    with connection.cursor() as cursor:
        cursor.execute(*statement(page["send_receipt"].job(8)))
        connection.rollback()
    connection.close()
    assert len(app.execute(inspections.list_jobs())) == 1


async def test_asyncpg(page: dict[str, Any], app: App, postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.set_type_codec("jsonb", encoder=repr, decoder=repr, schema="pg_catalog")

    id = await page["order_async"](connection, 7)

    await connection.close()
    assert enqueued(app, id) == ("send_receipt", "mail", {"order_id": 7})


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemy(page: dict[str, Any], app: App, postgres_url: str, driver: str) -> None:
    url = sqlalchemy.make_url(postgres_url).set(drivername=f"postgresql+{driver}")
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        id = page["order_named"](connection, 7)
    engine.dispose()
    assert enqueued(app, id) == ("send_receipt", "mail", {"order_id": 7})


RECEIPT = ("send_receipt", "mail", {"order_id": 7})


def parts(url: str) -> dict[str, Any]:
    """How to connect, word by word."""
    given = sqlalchemy.make_url(url)
    return {
        "host": given.query["host"],
        "port": int(str(given.query["port"])),
        "user": given.username,
        "database": given.database,
    }


def test_pg8000(page: dict[str, Any], app: App, postgres_url: str) -> None:
    to = parts(postgres_url)
    socket = f"{to['host']}/.s.PGSQL.{to['port']}"
    connection = pg8000.dbapi.connect(
        to["user"], database=to["database"], password="", unix_sock=socket
    )
    id = page["order_pg8000"](connection, 7)
    with pytest.raises(UnsupportedConnection, match=r'statement\(job, "format"\)'):
        enqueue(connection, page["send_receipt"].job(7))  # type: ignore[call-overload,unused-ignore]
    connection.close()
    assert enqueued(app, id) == RECEIPT


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg3"])
def test_peewee(page: dict[str, Any], app: App, postgres_url: str, driver: str) -> None:
    to = parts(postgres_url)
    database = peewee.PostgresqlDatabase(
        to.pop("database"), prefer_psycopg3=driver == "psycopg3", **to
    )
    with database.connection_context():
        ids = [page["order_peewee"](database, 7), page["order_registered"](database, 7)]
        with pytest.raises(ZeroDivisionError), database.atomic():
            enqueue(database.connection(), page["send_receipt"].job(8))
            raise ZeroDivisionError
    assert [enqueued(app, id) for id in ids] == [RECEIPT, RECEIPT]
    assert len(app.execute(inspections.list_jobs())) == 2


def test_pony(page: dict[str, Any], app: App, postgres_url: str) -> None:
    db = orm.Database()
    db.bind(provider="postgres", **parts(postgres_url))
    id = page["order_pony"](db, 7)
    with pytest.raises(ZeroDivisionError), orm.db_session:
        enqueue(db.get_connection(), page["send_receipt"].job(8))
        raise ZeroDivisionError
    db.disconnect()
    assert enqueued(app, id) == RECEIPT
    assert len(app.execute(inspections.list_jobs())) == 1


async def test_tortoise(page: dict[str, Any], app: App, postgres_url: str) -> None:
    to = {"engine": "tortoise.backends.asyncpg", "credentials": parts(postgres_url)}
    config = {"connections": {"default": to}, "apps": {"shop": {"models": [__name__]}}}
    await tortoise.Tortoise.init(config=config)
    id = await page["order_tortoise"](7)
    await tortoise.Tortoise.close_connections()
    assert enqueued(app, id) == RECEIPT


async def test_databases(page: dict[str, Any], app: App, postgres_url: str) -> None:
    to = parts(postgres_url)
    url = f"postgresql+asyncpg:///{to.pop('database')}"
    async with databases.Database(url, **to) as database:
        id = await page["order_databases"](database, 7)
    assert enqueued(app, id) == RECEIPT


@pytest.mark.parametrize("paramstyle", ["pyformat", "format", "numeric_dollar"])
async def test_all_that_a_job_says_arrives(app: App, postgres_url: str, paramstyle: Any) -> None:
    at = datetime(2031, 5, 6, 7, 8, 9, 123456, UTC)
    job = NewJob[Any]("odd", f'{{"text": "{ANNOYING[:-4]}"}}'.replace("\\", "")).options(
        queue="q:1", priority=-5, run_at=at, max_attempts=3, timeout=1.5, unique=ANNOYING,
        tags=["b", "a"], key="acme", metadata={"m": ANNOYING},
    )  # fmt: skip
    sql, params = statement(job, paramstyle)
    if paramstyle == "numeric_dollar":
        asyncio_connection = await asyncpg.connect(postgres_url)
        ids = [await asyncio_connection.fetchval(sql, *params) for _ in range(2)]
        await asyncio_connection.close()
    else:
        connection = psycopg2.connect(postgres_url)
        with connection, connection.cursor() as cursor:
            ids = []
            for _ in range(2):
                cursor.execute(sql, params)
                ids.append(cursor.fetchone()[0])
        connection.close()

    assert ids[0] == ids[1]
    [found] = app.execute(inspections.get(ids)).values()
    assert (
        found.queue,
        found.priority,
        found.run_at,
        found.max_attempts,
        found.timeout_seconds,
    ) == (
        *("q:1", -5, at, 3),
        1.5,
    )
    assert (found.unique_key, found.tags, found.state) == (ANNOYING, ("b", "a"), State.SCHEDULED)
    assert found.key == "acme"
    assert found.metadata == {"m": ANNOYING}


def test_an_enqueuers_role_is_enough(page: dict[str, Any], app: App, postgres_url: str) -> None:
    with a_role(postgres_url, "enqueuer") as role:
        connection = psycopg2.connect(as_role(postgres_url, role))
        with connection, connection.cursor() as cursor:
            cursor.execute(*statement(page["send_receipt"].job(7).options(delay=60)))
            [id] = cursor.fetchone() or ()
        connection.close()
    assert enqueued(app, id)[0] == "send_receipt"


def test_a_job_that_waits_for_others_is_refused(page: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob, match="one job"):
        statement(page["send_receipt"].job(7).after(3))
    with pytest.raises(ValueError, match="numeric_dollar"):
        statement(page["send_receipt"].job(7), "qmark")
