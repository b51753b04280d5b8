"""An application on each store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pgqueue import App
from tests.valkey import Valkey

Make: TypeAlias = Callable[..., App]


@pytest.fixture(params=["postgres", "sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes applications of one store."""
    made: list[App] = []

    def make(**options: Any) -> App:
        match request.param:
            case "postgres":
                app = App(request.getfixturevalue("postgres_url"), **options)
            case "sqlite":
                app = App(f"sqlite:///{tmp_path}/jobs.db", **options)
            case _:
                server: Valkey = request.getfixturevalue("valkey_server")
                namespace = request.getfixturevalue("namespace")
                app = App(server.url, schema=namespace, **options)
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(make: Make) -> App:
    return make(actor="the shop")
