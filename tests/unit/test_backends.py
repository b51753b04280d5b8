"""Which store a URL names, and what a store cannot do."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest

from pgqueue import backends
from pgqueue.app import App
from pgqueue.backends import capabilities
from pgqueue.backends.capabilities import CAPABILITIES, Capability
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import MissingCapability, PgqueueError


class Toy(SimpleNamespace):
    """A store of somebody else's."""


def open_toy(url: str, *, schema: str) -> Any:
    return Toy(url=url, schema=schema)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has installed a package with another store."""
    entry = EntryPoint("toy", f"{__name__}:open_toy", "pgqueue.backends")

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == "pgqueue.backends"
        return [entry] if name in (None, "toy") else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_scheme_names_the_store_whatever_the_driver(scheme: str) -> None:
    assert isinstance(backends.connect(f"{scheme}:///shop"), PostgresBackend)


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("sqlite:///jobs.db", "sqlite"),
        ("sqlite+pysqlite:///jobs.db", "sqlite"),
        ("redis://localhost/0", "redis"),
        ("rediss://localhost", "redis"),
        ("redis+cluster://localhost", "redis"),
        ("valkey://localhost", "redis"),
        ("unix:///run/redis.sock", "redis"),
        ("toy://there", "toy"),
    ],
)
def test_every_scheme_has_its_store(url: str, store: str) -> None:
    assert backends.store_of(url) == store


def test_another_packages_store_opens_by_its_scheme(toy: None) -> None:
    app = App("toy://there", schema="mine")

    assert (app.backend.url, app.backend.schema) == ("toy://there", "mine")  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["oracle://x", "jobs.db", ""])
def test_an_unknown_store_is_an_error_that_names_the_known_ones(toy: None, url: str) -> None:
    with pytest.raises(PgqueueError, match=r"no such store; .*postgresql://.*toy://"):
        backends.connect(url)


def test_an_option_that_a_store_does_not_have_is_an_error(toy: None) -> None:
    with pytest.raises(PgqueueError, match=r"toy:// has no option synchronous"):
        _ = App("toy://there", synchronous="full").backend
    with pytest.raises(PgqueueError, match=r"postgresql:// has no option synchronous"):
        _ = App("postgresql:///shop", synchronous="full").backend


def test_what_a_store_cannot_do_is_an_error_that_names_one_which_can() -> None:
    store = SimpleNamespace(store="toy", capabilities=frozenset({"transactions"}))

    capabilities.require(store, "transactions")
    with pytest.raises(MissingCapability, match=r"^toy has no partitions: .*PostgreSQL can"):
        capabilities.require(store, "partitions")


@pytest.mark.parametrize("capability", CAPABILITIES.values(), ids=lambda c: c.name)
def test_a_capability_is_one_sentence_and_a_reason(capability: Capability) -> None:
    assert capability.means.endswith(".")
    assert capability.means.count(". ") == 0
    assert capability.lacking.endswith(".")
    assert capability.found_in


def test_postgres_can_do_everything() -> None:
    assert PostgresBackend.capabilities == frozenset(CAPABILITIES)
