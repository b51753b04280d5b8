"""The stores on which several workers share what a queue allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue import App
from tests.valkey import Valkey


@pytest.fixture(params=["postgres", "sqlite", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    match request.param:
        case "postgres":
            app = App(request.getfixturevalue("postgres_url"))
        case "sqlite":
            app = App(f"sqlite:///{tmp_path}/jobs.db")
        case _:
            server: Valkey = request.getfixturevalue("valkey_server")
            app = App(server.url, schema=request.getfixturevalue("namespace"))
    yield app
    app.close()
