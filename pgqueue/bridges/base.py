"""What an adapter brings: a sink for an outlet, a source for an inlet.

A *sink* says where messages go, a *source* where they come from. Neither holds a connection: `open`
gives a *line*, which does. Any loss ends the line and all that is in hand on it; a new one is
opened. So there is no state to mend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

import msgspec

from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import NewJob

if TYPE_CHECKING:
    from pgqueue.tasks.task import Task

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
TRACE: Final = ("traceparent", "tracestate")
"""Headers that go from a job's metadata to its message, and from a message to its job."""


class Unreachable(PgqueueError):
    """The broker cannot be reached, or has gone; of no message in hand is anything known."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that is to be sent.

    *id* is the same at each attempt; *to* is the routing key, the topic or the URL; *key* is what
    its order is kept in. *headers* are texts.
    """

    id: str
    body: bytes
    content_type: str = JSON
    to: str | None = None
    key: str | None = None
    type: str | None = None
    headers: Mapping[str, str] = {}

    @property
    def is_text(self) -> bool:
        """Whether the body is JSON; else it may be any bytes."""
        return self.content_type == JSON


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker has confirmed that it holds the message."""


@dataclass(frozen=True, slots=True)
class Again:
    """It was refused, *why*; try it after *delay*, or when the task's policy says. If not *spent*,
    the attempt does not count: it is not the message's fault."""

    why: str
    delay: timedelta | None = None
    spent: bool = True


@dataclass(frozen=True, slots=True)
class Returned(Again):
    """The broker has it no more: there is no queue that it would go to."""


@dataclass(frozen=True, slots=True)
class Never:
    """It was refused for good, *why*: the job becomes a dead letter."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The line ended before the broker said; the message may have arrived."""

    why: str


Answer: TypeAlias = Delivered | Again | Never | Unknown
DELIVERED: Final = Delivered()


class SinkLine(Protocol):
    """An open way to a broker, used by one event loop."""

    async def send(self, messages: Sequence[Message], /) -> Sequence[Answer]:
        """Send *messages* in their order; answer for each, in this order. No two of those in hand
        have the same id.

        Raises Unreachable when nothing is known of any. After that, or after an `Unknown`, the line
        is closed and not used again. It must not take longer than the broker may be silent.
        """
        ...

    async def close(self) -> None:
        """Give the connection back; may be called twice, and raises nothing."""
        ...


class Sink(Protocol):
    """Where an outlet's messages go. It is a value: its repr shows no secrets."""

    @property
    def batch(self) -> int:
        """The most messages that `send` takes at once."""
        ...

    @property
    def parallel(self) -> int:
        """How many calls of `send` may be under way at once, on one line."""
        ...

    @property
    def place(self) -> str:
        """Where that is, for people: without secrets."""
        ...

    def check(self, message: Message, /) -> None:
        """Raise ValueError for a message that can never be sent, with the cure; asked when it is
        made."""
        ...

    async def open(self) -> SinkLine:
        """Return a line; raises Unreachable within seconds, with no secret in its text."""
        ...

    async def examine(self) -> Sequence[str]:
        """Look whether it would work, changing nothing, and say what is wrong; none: all is well.
        Raises Unreachable, as `open`."""
        ...


class Received(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """A message that came in.

    *id*: what the sender says it is, if it does; *to*: the routing key; *group*: what its order is
    kept in. *receipt* is the adapter's own.
    """

    body: bytes
    id: str | None = None
    to: str | None = None
    group: str | None = None
    type: str | None = None
    headers: Mapping[str, str] = {}
    receipt: Any = None

    def json(self) -> Any:
        """The body, read as JSON; raises ValueError."""
        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        """The body as text; raises ValueError if it is not in UTF-8."""
        return self.body.decode()


class SourceLine(Protocol):
    """An open way from a broker, used by one event loop. Closed, it gives back what was taken and
    neither settled nor released: the broker hands it out again. While `take` waits, what was taken
    before may be settled."""

    async def take(self, limit: int, /) -> Sequence[Received]:
        """Wait for messages, and return some, at most *limit*; it may be cancelled, and then none
        is taken. Raises Unreachable when the line is lost; it is closed then, and not used again.
        """
        ...

    async def settle(self, messages: Sequence[Received], /) -> None:
        """Tell the broker that these, the first that were taken and not settled, are safe here.
        Raises Unreachable: perhaps it does not know."""
        ...

    async def release(self, messages: Sequence[Received], /) -> None:
        """Give these back at once, for somebody else; raises Unreachable."""
        ...

    async def close(self) -> None:
        """Give the connection back; may be called twice, and raises nothing."""
        ...


class Source(Protocol):
    """Where an inlet's messages come from. It is a value: its repr shows no secrets."""

    @property
    def batch(self) -> int:
        """The most messages that `take` is to return."""
        ...

    @property
    def place(self) -> str:
        """Where that is, for people: without secrets."""
        ...

    async def open(self) -> SourceLine:
        """Return a line; raises Unreachable within seconds, with no secret in its text."""
        ...

    async def examine(self, keep: timedelta | None = None, /) -> Sequence[str]:
        """Look whether it would work, taking nothing, and say what is wrong; none: all is well.
        *keep*: for how long a message is known here: too short if the broker may hand it out again
        later, where that can be asked. Raises Unreachable, as `open`."""
        ...


Finish: TypeAlias = Callable[[NewJob[Any], str | None], NewJob[Any]]
"""Makes a job ready for the message with this id: there is one of it, however often that comes."""


@runtime_checkable
class Addressed(Protocol):
    """A source whose messages say themselves which task they are for: an inlet of it names none."""

    def jobs(
        self, message: Received, tasks: Mapping[str, Task[..., Any]], finish: Finish, /
    ) -> list[NewJob[Any]]:
        """Return the job of *message*, and others that it asks for, each made ready by *finish*;
        raises whatever keeps it from being one."""
        ...
