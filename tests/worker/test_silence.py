"""Connections that have gone silent, and nobody is told: a firewall has forgotten them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue import embedded, statements
from tests.faults.proxy import Gate, Network
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import Shop, eventually
from tests.worker.store import Store


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    with embedded.start(ephemeral=True, tcp=True) as server:
        with psycopg.connect(server.url) as connection:
            for file in statements.schema_files("postgres"):
                connection.execute(file.up.encode())
        yield server


@pytest.fixture
def postgres_url(server: embedded.Server) -> str:
    return server.url


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture
def gate(network: Network, server: embedded.Server) -> Gate:
    return network.gate(int(psycopg.conninfo.conninfo_to_dict(server.tcp_url)["port"]))


def through(gate: Gate, server: embedded.Server) -> str:
    url = make_url(server.tcp_url).set(port=gate.port)
    return url.render_as_string(hide_password=False)


def test_connects_anew_when_its_connections_are_silent(
    gate: Gate, server: embedded.Server, start: Start, store: Store, shop: Shop
) -> None:
    worker = start(through(gate, server), heartbeat_interval=1).started()
    [held] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))

    gate.forget()
    [later] = store.enqueue(tasks.ring.job())

    eventually(lambda: store.all_finished([later]), within=40)
    shop.open()
    eventually(lambda: store.all_finished([held]), within=40)
    assert store.job(held).rescues == 0
    assert len(shop.marks("start")) == 2
    worker.send(signal.SIGTERM)
    assert worker.ends() == 0


def test_stops_when_its_connections_are_silent(
    gate: Gate, server: embedded.Server, start: Start
) -> None:
    worker = start(through(gate, server)).started()
    gate.forget()

    worker.send(signal.SIGTERM)

    assert worker.ends(within=30) == 0
