"""The suite for adapters: a third party's passes it, and so do those of pgqueue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pika
import pytest

from pgqueue.bridges import amqp
from pgqueue.testing.bridges import PATIENCE_SECONDS, SinkTests, SourceTests
from tests.bridges.folder import Folder
from tests.bridges.rabbit import Rabbit
from tests.valkey import until


class FolderRig:
    """A folder that is renamed while it is away."""

    def __init__(self, root: Path) -> None:
        self.sink = self.source = Folder(root)
        self.to, self.nowhere = None, "absent"
        self._root, self._number = root, 0
        root.mkdir()

    async def arrived(self, number: int) -> Sequence[tuple[str, bytes]]:
        found = [json.loads(path.read_text()) for path in sorted(self._root.glob("*.json"))]
        return [(told["id"], told["body"].encode("latin-1")) for told in found]

    async def put(self, *messages: tuple[str, bytes]) -> None:
        for id, body in messages:
            self._number += 1
            told = {"id": id, "body": body.decode("latin-1")}
            (self._root / f"{self._number:06}.json").write_text(json.dumps(told))

    async def go_away(self) -> None:
        self._root.rename(self._root.with_name("away"))

    async def come_back(self) -> None:
        self._root.with_name("away").rename(self._root)


class RabbitRig:
    """A queue of a RabbitMQ, which is killed and started again."""

    def __init__(self, broker: Rabbit, queue: str) -> None:
        self.sink = amqp.Exchange("", broker.url)
        self.source = amqp.Queue(queue, broker.url)
        self.to, self.nowhere = queue, "no.such.queue"
        self._broker = broker

    async def arrived(self, number: int) -> Sequence[tuple[str, bytes]]:
        return await asyncio.to_thread(self._arrived, number)

    def _arrived(self, number: int) -> Sequence[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        with self._broker.connect() as connection:
            channel = connection.channel()

            def is_empty() -> bool:
                _, told, body = channel.basic_get(self.to, auto_ack=True)
                if told is not None:
                    found.append((told.message_id, body))
                return told is None and len(found) >= number

            until(is_empty, within=PATIENCE_SECONDS)
        return found

    async def put(self, *messages: tuple[str, bytes]) -> None:
        with self._broker.connect() as connection:
            for id, body in messages:
                told = pika.BasicProperties(message_id=id, delivery_mode=2)
                connection.channel().basic_publish("", self.to, body, told)

    async def go_away(self) -> None:
        await asyncio.to_thread(self._broker.note_queues)
        await asyncio.to_thread(self._broker.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self._broker.start)


class TestAFolderAsASink(SinkTests):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> FolderRig:
        return FolderRig(tmp_path / "queue")


class TestAFolderAsASource(SourceTests):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> FolderRig:
        return FolderRig(tmp_path / "queue")


class TestAnExchange(SinkTests):
    @pytest.fixture
    def rig(self, broker: Rabbit, queue: str) -> RabbitRig:
        return RabbitRig(broker, queue)


class TestAQueueOfAmqp(SourceTests):
    @pytest.fixture
    def rig(self, broker: Rabbit, queue: str) -> RabbitRig:
        return RabbitRig(broker, queue)


def test_the_third_partys_adapter_is_short() -> None:
    assert len(Path(__file__).with_name("folder.py").read_text().splitlines()) < 100
