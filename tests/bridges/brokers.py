"""A broker in memory that does as it is told: it loses, delays, repeats and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pgqueue.bridges import Answer, Delivered, Message, Received, Unreachable


@dataclass
class Broker:
    """*away*: nobody reaches it. *hangs*: it is silent until this is set. *refuses*: its answer for
    these bodies. *breaks*: bodies at which its client has a bug."""

    away: bool = False
    hangs: asyncio.Event | None = None
    refuses: dict[bytes, Answer] = field(default_factory=dict)
    breaks: set[bytes] = field(default_factory=set)
    lost: int = 0
    opened: int = 0
    batches: list[list[Message]] = field(default_factory=list)
    batch: int = 10
    parallel: int = 1
    place: str = "a toy"

    @property
    def held(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]

    def check(self, message: Message) -> None:
        if message.to == "nowhere":
            raise ValueError("to: nowhere is no place; give another")

    async def open(self) -> Broker:
        self.opened += 1
        if self.away:
            raise Unreachable("it is away")
        return self

    async def send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        if self.hangs is not None:
            await self.hangs.wait()
        if self.away:
            raise Unreachable("it went")
        if any(message.body in self.breaks for message in messages):
            raise ZeroDivisionError("a bug")
        kept = [message for message in messages if message.body not in self.refuses]
        self.batches.append(kept)
        if self.lost:  # taken, and the confirm lost
            self.lost -= 1
            raise Unreachable("no confirm came")
        return [self.refuses.get(message.body, Delivered()) for message in messages]

    async def examine(self) -> Sequence[str]:
        return []

    async def close(self) -> None: ...


@dataclass
class Mailbox:
    """A queue in memory. *deaf*: so many acknowledgements get lost, and with them the line."""

    batch: int = 10
    place: str = "a toy"
    away: bool = False
    deaf: int = 0
    opened: int = 0
    waiting: list[Received] = field(default_factory=list)
    in_hand: list[Received] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, *messages: Received) -> None:
        self.waiting += messages
        self.came.set()

    @property
    def empty(self) -> bool:
        return not self.waiting and not self.in_hand

    async def open(self) -> Mailbox:
        if self.away:
            raise Unreachable("it is away")
        self.opened += 1
        return self

    async def take(self, limit: int) -> Sequence[Received]:
        while not self.waiting:
            self.came.clear()
            await self.came.wait()
            if self.away:
                raise Unreachable("it went")
        found, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.in_hand += found
        return found

    async def settle(self, messages: Sequence[Received]) -> None:
        if self.deaf:
            self.deaf -= 1
            raise Unreachable("the acknowledgement was lost")
        self.in_hand = [message for message in self.in_hand if message not in messages]

    async def release(self, messages: Sequence[Received]) -> None:
        await self.close()

    async def close(self) -> None:
        self.put(*self.in_hand)
        self.in_hand = []

    async def examine(self, keep: timedelta | None = None, /) -> Sequence[str]:
        return []
