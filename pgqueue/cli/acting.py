"""Changing many jobs, by id or by filter: ask first, act in batches, answer for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from pgqueue.cli import output
from pgqueue.cli.command import Failure
from pgqueue.cli.store import Connected, Store

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verb:
    """What is done to jobs: *answer* does it to a batch, *done* is what it answers when it worked.

    *states*: whom a filter means that names no state.
    """

    name: str
    answer: Callable[[Connected, list[int]], dict[int, str]]
    done: set[str]
    states: Sequence[str]


def act(
    verb: Verb, ids: Sequence[int], *, store: Store, as_json: bool, yes: bool, **chosen: Any
) -> None:
    """Does *verb* to the jobs *ids*, or to those *chosen* by a filter, and answers for each.

    Raises Failure at the end when one of *ids* could not be: those of a filter may have moved on.
    """
    by_filter = any(chosen.values())
    if by_filter == bool(ids):
        raise click.UsageError("give either ids or a filter, such as --state or --queue")
    with store.connected() as connected:
        if by_filter:
            ids = list(_matching(connected, verb, **chosen))
            _confirm(verb, ids, yes)
        answers: dict[int, str] = {}
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), PAGE):
            batch = wanted[start : start + PAGE]
            answers |= verb.answer(connected, batch)
            answers |= _why_not(connected, [id for id in batch if id not in answers])
    failed = [id for id in wanted if answers[id] not in verb.done]
    if as_json:
        output.print_json(
            [{"id": id, "answer": answers[id], "ok": answers[id] in verb.done} for id in wanted]
        )
    else:
        for id in wanted:
            click.echo(f"{id} {answers[id]}")
    if failed and not by_filter:
        raise Failure(f"{len(failed)} of {len(wanted)} jobs could not: {_some(failed)}")


def _matching(
    connected: Connected, verb: Verb, *, state: str | None, **chosen: Any
) -> Iterator[int]:
    """The ids of all jobs that a filter means, page by page."""
    from pgqueue import inspections
    from pgqueue.jobs import State

    for one in [state] if state else verb.states:
        before: int | None = None
        while True:
            page = connected.execute(
                inspections.list_jobs(state=State(one), before=before, limit=PAGE, **chosen)
            )
            yield from (job.id for job in page)
            if len(page) < PAGE:
                break
            before = page[-1].id


def _confirm(verb: Verb, ids: Sequence[int], yes: bool) -> None:
    if yes or not ids:
        return
    question = f"{verb.name} {len(ids)} job{'s' if len(ids) > 1 else ''}?"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes: there is nobody to ask")
    click.confirm(question, abort=True, err=True)


def _why_not(connected: Connected, ids: list[int]) -> dict[int, str]:
    """What is to be said of jobs that the verb did not answer for."""
    from pgqueue import inspections

    if not ids:
        return {}
    found = connected.execute(inspections.get(ids))
    return {id: f"{found[id].state} already" if id in found else "not found" for id in ids}


def _some(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:5]))
    return shown if len(ids) <= 5 else f"{shown}, …"
