"""`app.outlet`: a task whose work is to publish one message."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5
from weakref import WeakKeyDictionary

import msgspec

from pgqueue.bridges import adapters
from pgqueue.bridges.base import (
    BYTES,
    JSON,
    TRACE,
    Again,
    Message,
    Never,
    Sink,
    Unknown,
    Unreachable,
)
from pgqueue.errors import InvalidJob
from pgqueue.jobs import checks
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.outcomes import Discard, Outcome, Retry, Snooze
from pgqueue.tasks.context import Context
from pgqueue.tasks.task import AsyncTask

if TYPE_CHECKING:
    import asyncio

    from pgqueue.bridges.sender import Sender
    from pgqueue.jobs.retries import Retries
    from pgqueue.tasks.registry import TaskRegistry

GATE_SECONDS: Final = 1.0
"""A message that found the gate shut is available again after so long, for when it opens."""
HELD_SECONDS: Final = 60.0
_NAMESPACE: Final = UUID("8f7d8a5e-6a3f-4b53-9d5b-0d9c4c1a52a7")


class Outlet:
    """Publishes messages to *sink*, or to the URL of an installed adapter; `message` makes the jobs
    that do. Its queue has its name.

    If *ordered*, messages with the same key are sent in their order, each when the one before has
    ended; others side by side, as each has a key of its own, its id. Otherwise all go side by side,
    whatever their key. After *max_attempts* a message ends as a dead letter; with *hold_key* it is
    tried on, every minute, and holds up its key until it is sent or cancelled.
    """

    def __init__(
        self,
        registry: TaskRegistry,
        name: str,
        sink: Sink | str,
        *,
        max_attempts: int = 20,
        retry: Retries | None = None,
        ordered: bool = True,
        hold_key: bool = False,
    ) -> None:
        self.name: Final = name
        self.ordered: Final = ordered
        self.sink: Final = adapters.sink(name, sink)
        self._hold_key = hold_key
        self._senders: WeakKeyDictionary[asyncio.AbstractEventLoop, Sender] = WeakKeyDictionary()
        self.task: Final[AsyncTask[..., None]] = AsyncTask(
            self._publish,
            name=name,
            queue=name,
            max_attempts=max_attempts,
            retry=retry,
            schema=registry.schema,
            on_enqueue=registry.hooks.enqueue,
        )

    def message(
        self,
        body: Any = None,
        *,
        to: str | None = None,
        key: str | None = None,
        id: str | None = None,
        type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> NewJob[None]:
        """Return the job that publishes *body*: bytes as they are, anything else as JSON.

        *to*: the routing key, topic or URL. *key*: messages with the same one keep their order.
        *id* stays the same however often it is sent, a UUID of version 7 unless given; *type* and
        *headers* go along. Raises InvalidJob for what the sink could never send, or beyond 1 MiB.
        """
        id = new_id() if id is None else id
        given: dict[str, Any] = {"id": id}
        if isinstance(body, (bytes, bytearray, memoryview)):
            given["data"] = bytes(body)
        else:
            given["body"] = body
        more = {"to": to, "type": type, "headers": headers}
        given |= {name: value for name, value in more.items() if value is not None}
        job: NewJob[None] = self.task.job(**given)
        try:
            if len(id) > checks.MAX_KEY_CHARS:
                raise ValueError(f"id: longer than {checks.MAX_KEY_CHARS} characters")
            self.sink.check(_message(given, key))
        except ValueError as error:
            raise InvalidJob(f"{self.name}: {error}", task=self.name) from error
        if key is None and self.ordered:
            key = id
        return job if key is None else job.options(key=key)

    @property
    def sender(self) -> Sender:
        """What sends its messages in the running event loop."""
        from asyncio import get_running_loop  # who only enqueues has no need of it

        from pgqueue.bridges.sender import Sender

        loop = get_running_loop()
        found = self._senders.get(loop)
        if found is None:
            found = self._senders[loop] = Sender(self.sink)
        return found

    async def close(self) -> None:
        """Give back the connection of the running event loop."""
        from asyncio import get_running_loop

        sender = self._senders.pop(get_running_loop(), None)
        if sender is not None:
            await sender.close()

    async def _publish(
        self,
        ctx: Context,
        *,
        body: Any = None,
        data: bytes | None = None,
        to: str | None = None,
        id: str | None = None,
        type: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Outcome | None:
        given: dict[str, Any] = {"body": body, "to": to, "type": type}
        if data is not None:
            given["data"] = data
        given["id"] = self._id_of(ctx, given) if id is None else id
        metadata = ctx.metadata
        trace = {name: metadata[name] for name in TRACE if isinstance(metadata.get(name), str)}
        given["headers"] = {**trace, **(headers or {})}
        try:
            key = None if ctx.key == id else ctx.key
            answer = await self.sender.send(_message(given, key))
        except Unreachable:
            return Snooze(GATE_SECONDS)
        last = ctx.attempt >= ctx.max_attempts
        match answer:
            case Again(_, delay, False):
                return Snooze(GATE_SECONDS if delay is None else delay)
            case Again() | Never() if self._hold_key and last:
                return Snooze(HELD_SECONDS)
            case Again(why, delay):
                return Retry(delay, why)
            case Never(why):
                return Retry(HELD_SECONDS, why) if self._hold_key else Discard(why)
            case Unknown():
                return Snooze(GATE_SECONDS)
        return None

    def _id_of(self, ctx: Context, given: Mapping[str, Any]) -> str:
        """The id of a message that was enqueued without one, from SQL: the same at each attempt."""
        content = msgspec.json.encode((self.name, ctx.id, given), order="sorted").decode()
        return str(uuid5(_NAMESPACE, content))

    def __repr__(self) -> str:
        return f"<Outlet {self.name}: {self.sink.place}>"


def _message(given: Mapping[str, Any], key: str | None) -> Message:
    data = given.get("data")
    return Message(
        id=given["id"],
        body=msgspec.json.encode(given.get("body")) if data is None else data,
        content_type=JSON if data is None else BYTES,
        to=given.get("to"),
        key=key,
        type=given.get("type"),
        headers=given.get("headers") or {},
    )


def new_id() -> str:
    """Return a UUID of version 7: ids that are made later sort later."""
    now = time.time_ns() // 1_000_000
    number = now << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=number))
