"""Open ways to and from Celery, by aiormq: imported only when one is opened."""

from __future__ import annotations

from typing import Any

from aiormq.abc import DeliveredMessage
from msgspec import structs
from pamqp.commands import Basic

from pgqueue.bridges.amqp_lines import ExchangeLine
from pgqueue.bridges.amqp_queue import QueueLine
from pgqueue.bridges.base import Message, Received
from pgqueue.bridges.celery_codec import received


class CeleryQueueLine(QueueLine):
    """A consumer of a Celery queue."""

    def _received(self, message: DeliveredMessage) -> Received:
        told = message.header.properties
        return structs.replace(
            received(
                message.body,
                told.headers or {},
                told.content_type,
                told.content_encoding,
                told.priority,
            ),
            to=message.routing_key,
            receipt=message.delivery_tag,
        )


class CeleryExchangeLine(ExchangeLine):
    """A channel on which messages are written as Celery's own are."""

    def _properties(self, message: Message) -> Basic.Properties:
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
        return Basic.Properties(
            content_type=message.content_type,
            content_encoding="utf-8",
            correlation_id=message.id,
            delivery_mode=2,
            headers=headers,
            message_id=message.id,
        )
