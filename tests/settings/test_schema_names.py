"""Schemas whose name is a word of SQL, or begins as ours do."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import App, migrations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.doctor import examine
from pgqueue.jobs.retention import Retention
from pgqueue.operations import rights
from pgqueue.testing.conformance import Store, a_job
from tests.postgres.roles import a_role

NAMES = ["pgqueue_demo", "user", "select"]
MORE = ["order", "all", "table", "default", "end", "authorization"]


@pytest.mark.parametrize(
    "name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_a_word_of_sqls_may_be_a_schemas_name(empty_url: str, name: str) -> None:
    migrations.migrate(empty_url, schema=name)
    backend = PostgresBackend(empty_url, schema=name)
    store = Store(backend)
    parent = a_job("parent")
    store.enqueue(parent, a_job("child").after(parent), a_job("unique", unique="k"))
    assert store.work() == ["parent", "unique", "child"]
    store.prune(Retention())
    with psycopg.connect(empty_url) as connection:
        connection.execute(f"SELECT \"{name}\".enqueue('by_sql')".encode())
    with a_role(empty_url) as role:
        given = backend.execute(rights.grant({part: [role] for part in rights.PARTS}))
        assert all(right.held for right in given)
    with psycopg.connect(backend.url, autocommit=True) as connection:
        levels = {finding.check: finding.level for finding in examine(backend, name)}
    assert levels["rights"] == "ok"
    assert levels["notifications"] == "ok"
    with backend.listen(["default"]) as subscription:
        app = App(empty_url, schema=name)
        app.enqueue([a_job(schema=name)])
        subscription.wait(60)
        app.close()
    backend.close()
    migrations.migrate(empty_url, to="base", schema=name)
    migrations.migrate(empty_url, schema=name)
