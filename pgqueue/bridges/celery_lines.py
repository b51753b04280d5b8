"""Open ways to and from Celery, by aiormq: imported only when one is opened."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from pgqueue.bridges.amqp_frames import Arrived, write_properties
from pgqueue.bridges.amqp_lines import ExchangeLine
from pgqueue.bridges.amqp_queue import QueueLine
from pgqueue.bridges.base import Message, Received
from pgqueue.bridges.celery_codec import received


class CeleryQueueLine(QueueLine):
    """A consumer of a Celery queue."""

    def _received(self, message: Arrived) -> Received:
        told = message.properties
        return structs.replace(
            received(
                message.body,
                told.get("headers", {}),
                told.get("content_type"),
                told.get("content_encoding"),
                told.get("priority"),
            ),
            to=message.to,
            receipt=message.tag,
        )


class CeleryExchangeLine(ExchangeLine):
    """A channel on which messages are written as Celery's own are."""

    def _properties(self, message: Message) -> bytes:
        headers: dict[str, Any] = {
            **message.headers,
            "lang": "py",
            "task": message.type,
            "id": message.id,
            "root_id": message.id,
            "retries": 0,
            "timelimit": [None, None],
            "origin": "pgqueue",
        }
        return write_properties(
            content_type=message.content_type,
            content_encoding="utf-8",
            correlation_id=message.id,
            headers=headers,
            message_id=message.id,
        )
