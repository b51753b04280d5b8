"""Plan how scripts carry an operation out: what to run, and how to read the answers. No I/O.

Each run of a script is bounded. A script with more to do answers with what it has, and with the
parameters for the rest. A long list of ids is sliced here instead: sent back and forth with each
run, it would cost quadratic time. A script that finds a graph that an earlier operation has changed
only in part completes that first, answers nothing, and is run again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from pgqueue.backends.redis.params import datetime_of, given
from pgqueue.operations import Operation
from pgqueue.statements.files import load_scripts
from pgqueue.statements.lua import Script

T = TypeVar("T")
ScriptPlan: TypeAlias = Generator[tuple[Script, bytes], bytes, T]
Given: TypeAlias = Mapping[str, Any]

SCRIPTS: Final = load_scripts("redis")
# The column of an answer that is an instant: scripts answer in microseconds.
_INSTANTS: Final[Mapping[str, int]] = {"queues": 1}
# Verbs that take any number of ids, and how many one run takes. The youngest ids come first: when a
# graph is cancelled, none of its children becomes available in between.
_SLICES: Final[Mapping[str, int]] = {"cancel": 1_000, "get": 500, "move": 1_000, "purge": 1_000}
_pack: Final = msgspec.msgpack.Encoder().encode


class _Reply(msgspec.Struct, array_like=True, gc=False):
    more: bool
    answers: list[list[tuple[Any, ...]]] | None
    rest: dict[str, Any] | None


_reply: Final = msgspec.msgpack.Decoder(_Reply)


def script_plan(operation: Operation[T]) -> ScriptPlan[T]:
    """Carry *operation* out, script by script, and return its decoded answer."""
    answers = yield from _sliced(operation.name, given(operation))
    if (column := _INSTANTS.get(operation.name)) is not None:
        answers = [[_with_instant(row, column) for row in rows] for rows in answers]
    return operation.decode(answers)


def _sliced(name: str, wanted: Given) -> ScriptPlan[list[list[tuple[Any, ...]]]]:
    size = _SLICES.get(name)
    if size is None or len(wanted["ids"]) <= size or "workflow" in wanted:
        return (yield from ask(name, wanted))
    ids = sorted(wanted["ids"], reverse=True)
    answers = yield from ask(name, {**wanted, "ids": ids[:size]})
    for start in range(size, len(ids), size):
        more = yield from ask(name, {**wanted, "ids": ids[start : start + size]})
        for rows, others in zip(answers, more, strict=True):
            rows.extend(others)
    return answers


def ask(name: str, wanted: Given) -> ScriptPlan[list[list[tuple[Any, ...]]]]:
    """Run the verb *name* until it is done, and return its rows."""
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
        reply = _reply.decode((yield SCRIPTS["parts/proceed"], _pack(now)))
    return answers


def _with_instant(row: tuple[Any, ...], column: int) -> tuple[Any, ...]:
    at = row[column]
    return row if at is None else (*row[:column], datetime_of(at), *row[column + 1 :])


def packed(wanted: Given) -> bytes:
    """Return a script's parameters as MessagePack."""
    return _pack(wanted)


def run_plan(script_plan: ScriptPlan[T], call: Callable[[Script, bytes], bytes]) -> T:
    """Run *script_plan* to its end, each script by *call*."""
    try:
        asked = next(script_plan)
        while True:
            asked = script_plan.send(call(*asked))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def run_plan_async(
    script_plan: ScriptPlan[T], call: Callable[[Script, bytes], Awaitable[bytes]]
) -> T:
    """As `run_plan`, with a *call* that is awaited."""
    try:
        asked = next(script_plan)
        while True:
            asked = script_plan.send(await call(*asked))
    except StopIteration as stop:
        result: T = stop.value
        return result
