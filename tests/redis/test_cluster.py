"""A namespace that moves to another node of a cluster, while nobody works on it, is found there."""

from __future__ import annotations

from typing import Any

import pytest
from redis.crc import key_slot

from pgqueue.backends.redis import RedisBackend
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import inspections
from pgqueue.testing.conformance import Store
from tests.valkey import Valkey


def move(nodes: list[Valkey], slot: int) -> None:
    """*slot* to the node after the one that has it, with its keys."""
    ids = [node.client().execute_command("CLUSTER", "MYID").decode() for node in nodes]
    source = next(n for n, node in enumerate(nodes) if _has(node, slot))
    target = (source + 1) % len(nodes)
    here, there = nodes[source].client(), nodes[target].client()
    there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    while keys := here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
        here.execute_command("MIGRATE", "127.0.0.1", nodes[target].port, "", 0, 5000, "KEYS", *keys)
    for client in (there, here):
        client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


def _has(node: Valkey, slot: int) -> bool:
    client: Any = node.client()
    return bool(client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot))


async def test_follows_a_namespace_to_another_node(
    valkey_cluster: list[Valkey], namespace: str
) -> None:
    backend = RedisBackend(f"redis+cluster://127.0.0.1:{valkey_cluster[0].port}", schema=namespace)
    store = Store(backend)
    id = store.add()
    worker_connection = backend.worker_connection()
    await worker_connection.open()
    session = backend.session(lambda topic: None, lambda: None)
    await session.open()
    assert await session.present(store.worker)

    move(valkey_cluster, key_slot(backend.namespace.tag.encode()))

    assert store.state(id) == "available"
    store.complete(store.take())
    found = await backend.execute_async(inspections.get([id]))
    assert found[id].state == "completed"
    with pytest.raises(StoreUnavailable):
        await worker_connection.execute(inspections.get([id]))
    await worker_connection.open()
    assert set(await worker_connection.execute(inspections.get([id]))) == {id}
    with pytest.raises(StoreUnavailable):
        await session.check()
    await session.open()
    assert await session.present(store.worker)
    store.has_session(store.worker)
    assert store.rescue().jobs == []
    await session.close()
    await worker_connection.close()
    await backend.close_async()
    store.check()
    backend.close()
