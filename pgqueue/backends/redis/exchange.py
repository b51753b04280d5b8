"""How an operation is carried out by scripts: what to run, and what to make of the answers. No I/O.

A script is bounded. One that has more to do than fits answers with what it has, and with what to
ask it for the rest; one that finds an earlier graph half told goes on with that, and wants to be
asked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from pgqueue.backends.redis.params import datetime_of, given
from pgqueue.operations import Operation
from pgqueue.statements import Script, load_scripts

T = TypeVar("T")
Exchange: TypeAlias = Generator[tuple[Script, bytes], bytes, T]
Given: TypeAlias = Mapping[str, Any]

SCRIPTS: Final = load_scripts("redis")
# Which column of an answer is an instant: a script knows only microseconds.
_INSTANTS: Final[Mapping[str, int]] = {"queues": 1}
_pack: Final = msgspec.msgpack.Encoder().encode


class _Reply(msgspec.Struct, array_like=True, gc=False):
    more: bool
    answers: list[list[tuple[Any, ...]]] | None
    rest: dict[str, Any] | None


_reply: Final = msgspec.msgpack.Decoder(_Reply)


def exchange(operation: Operation[T]) -> Exchange[T]:
    """Carries *operation* out, script by script, and answers what it decodes to."""
    answers = yield from ask(operation.name, given(operation))
    if (column := _INSTANTS.get(operation.name)) is not None:
        answers = [[_with_instant(row, column) for row in rows] for rows in answers]
    return operation.decode(answers)


def ask(name: str, wanted: Given) -> Exchange[list[list[tuple[Any, ...]]]]:
    """The rows of the verb *name*."""
    script = SCRIPTS[name]
    answers: list[list[tuple[Any, ...]]] | None = None
    while True:
        reply = _reply.decode((yield script, _pack(wanted)))
        if reply.answers is None:
            continue
        if answers is None:
            answers = reply.answers
        else:
            for rows, more in zip(answers, reply.answers, strict=True):
                rows.extend(more)
        if reply.rest is None:
            break
        wanted = {**wanted, **reply.rest}
    while script.settles and reply.more:
        now = {"now": wanted["now"]} if "now" in wanted else {}
        reply = _reply.decode((yield SCRIPTS["proceed"], _pack(now)))
    return answers


def _with_instant(row: tuple[Any, ...], column: int) -> tuple[Any, ...]:
    at = row[column]
    return row if at is None else (*row[:column], datetime_of(at), *row[column + 1 :])


def packed(wanted: Given) -> bytes:
    """What a script is given, as it travels."""
    return _pack(wanted)


def carry(exchange: Exchange[T], call: Callable[[Script, bytes], bytes]) -> T:
    """Runs *exchange* to its end."""
    try:
        asked = next(exchange)
        while True:
            asked = exchange.send(call(*asked))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def carry_async(
    exchange: Exchange[T], call: Callable[[Script, bytes], Awaitable[bytes]]
) -> T:
    """Runs *exchange* to its end."""
    try:
        asked = next(exchange)
        while True:
            asked = exchange.send(await call(*asked))
    except StopIteration as stop:
        result: T = stop.value
        return result
