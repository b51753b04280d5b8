"""Which steps of a statement are sent together, in rounds: decided here for every driver.

A round is a list of steps that are sent together and answered together. `rounds` yields one after
the other and is sent the rows of each; a driver's runner only has to ask them::

    steps = next(asked)
    while True:
        steps = asked.send(ask(steps))      # until StopIteration, whose value is the answer

* ``unless:`` is asked first, by itself; when it answers, that is the answer.
* BEGIN, the steps, those that follow, and COMMIT are one round.
* Where what follows may say *again*, COMMIT waits until it no longer does.

A statement of a single step needs no transaction around it, and no generator: runners ask it at
once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from pgqueue.operations import Rows
from pgqueue.statements.sql import Statement, Step

Y = TypeVar("Y")
Answer: TypeAlias = Rows | None
"""A step's rows; None of one that has none, where the driver tells that apart."""
Rounds: TypeAlias = Generator[Sequence[Step], Sequence[Answer], list[Rows]]

# READ COMMITTED whatever the database's default: the end of a parent waits for whoever is adding a
# child to it, and only a statement with a new snapshot sees that child afterwards.
BEGIN: Final = Step("BEGIN ISOLATION LEVEL READ COMMITTED", ())
COMMIT: Final = Step("COMMIT", ())


def rounds(statement: Statement, *, own: bool = False, settings: Sequence[Step] = ()) -> Rounds:
    """Yield the rounds of *statement*, be sent the answers to each, and return its own.

    *own*: no transaction is open, so these rounds begin one, with *settings*, and commit it.
    """
    if own and statement.unless is not None:
        [rows] = yield [statement.unless]
        if rows:
            return [rows]
    begin, commit = ([BEGIN, *settings], [COMMIT]) if own else ([], [])
    steps, then = statement.steps, statement.followed_by
    first, end = len(begin), len(begin) + len(steps)
    if not statement.repeats:
        answers = yield [*begin, *steps, *then, *commit]
        return _for_the_caller([*steps, *then], answers[first : end + len(then)])
    answers = yield [*begin, *steps, *then]
    last = answers[end:]
    while _says_again(then, last):
        last = yield then
    if commit:
        yield commit
    return _for_the_caller(steps, answers[first:end])


def asked(rounds: Rounds, ask: Callable[[Sequence[Step]], Sequence[Answer]]) -> list[Rows]:
    """Send each round by *ask*, and return the answer of all."""
    try:
        steps = next(rounds)
        while True:
            steps = rounds.send(ask(steps))
    except StopIteration as end:
        return _answer(end)


async def asked_async(
    rounds: Rounds, ask: Callable[[Sequence[Step]], Awaitable[Sequence[Answer]]]
) -> list[Rows]:
    """As `asked`, for an *ask* that is awaited."""
    try:
        steps = next(rounds)
        while True:
            steps = rounds.send(await ask(steps))
    except StopIteration as end:
        return _answer(end)


def asked_in_turn(
    rounds: Rounds, ask: Callable[[Sequence[Step]], Generator[Y, Any, Sequence[Answer]]]
) -> Generator[Y, Any, list[Rows]]:
    """As `asked`, for an *ask* that yields whenever its driver waits."""
    try:
        steps = next(rounds)
        while True:
            answers = yield from ask(steps)
            steps = rounds.send(answers)
    except StopIteration as end:
        return _answer(end)


def _answer(end: StopIteration) -> list[Rows]:
    answer: list[Rows] = end.value
    return answer


def _for_the_caller(steps: Sequence[Step], answers: Sequence[Answer]) -> list[Rows]:
    """Return *answers* without those that are parameters of later steps."""
    return [
        rows
        for step, rows in zip(steps, answers, strict=True)
        if rows is not None and not step.gives
    ]


def _says_again(steps: Sequence[Step], answers: Sequence[Answer]) -> bool:
    """Does one of *steps* ask for one more round, by a true value in its first column?"""
    return any(
        step.says_again and rows and bool(rows[0][0])
        for step, rows in zip(steps, answers, strict=True)
    )
