"""An application on each store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue import App, migrations


@pytest.fixture(params=["postgres", "sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that is ready."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    if request.param == "redis":
        return str(request.getfixturevalue("valkey_server").url)
    url = f"sqlite:///{tmp_path}/jobs.db"
    with migrations.connected(url) as connection:
        migrations.upgrade(connection)
    return url


@pytest.fixture
def app(store_url: str, namespace: str) -> Iterator[App]:
    schema = namespace if store_url.startswith(("redis", "unix")) else "pgqueue"
    app = App(store_url, schema=schema, name="shop")

    @app.task
    def digest(kind: str = "daily") -> str:
        return kind

    yield app
    app.close()
