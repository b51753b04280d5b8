"""Acting on many jobs, by id or by filter: ask first, act portion by portion, say what was done."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from pgqueue.cli import output
from pgqueue.cli.command import Failure
from pgqueue.cli.printable import printable_json, say
from pgqueue.cli.store import Connected, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgqueue.jobs.filters import Filter
    from pgqueue.operations.acting import Act, Number, Portion

COUNTING_SECONDS: Final = 3.0
_SAID: Final = {"cancel": {"running": "asked to stop"}}


def act(
    act: Act,
    ids: Sequence[int],
    filter: Filter | None,
    *,
    store: Store,
    as_json: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Does *act* to the jobs *ids*, and answers for each, or to those that *filter* means.

    Raises Failure at the end if *act* failed for one of *ids*. With a filter that is no failure: a
    job may have moved on since it was chosen.
    """
    if (filter is None) != bool(ids):
        raise click.UsageError("give either ids or a filter, such as --state or --queue")
    act = act._replace(reason=store.reason)
    with store.connected() as connected:
        if filter is None:
            who = None if dry_run else store.who
            _by_ids(connected, act, ids, who, as_json=as_json, dry_run=dry_run)
        else:
            number = _number(connected, act, filter)
            if dry_run:
                _would(act, filter, number, as_json)
            elif number.jobs and not yes:
                _confirm(f"{act.name} {_jobs(number)} {filter.words()}?")
            if not dry_run:
                _by_filter(connected, act, filter, number, store.who, as_json)


def _by_ids(
    connected: Connected,
    act: Act,
    ids: Sequence[int],
    who: str | None,
    *,
    as_json: bool,
    dry_run: bool,
) -> None:
    from pgqueue.operations import acting

    wanted = list(dict.fromkeys(ids))
    answers: dict[int, str] = {}
    for batch in acting.slices(wanted, newest=act.newest):
        told: dict[int, str] = {}
        if not dry_run:
            step = acting.noted(act, partial(acting.portion_of, act, batch), who)
            told = connected.together(step).answers
        answers |= told
        answers |= _why_not(connected, [id for id in batch if id not in told], dry_run)
    done = {id: not dry_run and answers[id] in act.done for id in wanted}
    if as_json:
        output.print_json(
            [{"id": id, "answer": _said(act, answers[id]), "ok": done[id]} for id in wanted]
        )
    else:
        for id in wanted:
            say(f"{id} {_said(act, answers[id])}")
    failed = [id for id in wanted if not done[id]]
    if failed and not dry_run:
        raise Failure(f"{len(failed)} of {len(wanted)} jobs could not be acted on: {_some(failed)}")


def _by_filter(
    connected: Connected, act: Act, filter: Filter, number: Number, who: str, as_json: bool
) -> None:
    from pgqueue.operations import acting

    total: Counter[str] = Counter()
    partitions = "partitions" in connected.capabilities
    batch = 0
    try:
        with _bar(act.name, number) as advance:
            for done in connected.steps(acting.steps(act, filter, partitions=partitions, who=who)):
                told = Counter(_answer(act, done, job.id) for job in done.jobs)
                told += Counter(purged=done.day or 0)
                total += told
                advance(told.total())
                if told:
                    batch += 1
                if as_json and told:
                    _print_line(act, batch, done, told)
    except KeyboardInterrupt:
        raise Failure(
            f"interrupted after {_list(total) or 'nothing'}; that is done, and the same command "
            "goes on from there"
        ) from None
    if not as_json:
        say(_list(total) or f"no jobs {filter.words()}")


def _answer(act: Act, done: Portion, id: int) -> str:
    return _said(act, done.answers.get(id, "changed meanwhile"))


def _print_line(act: Act, batch: int, done: Portion, told: Mapping[str, int]) -> None:
    import msgspec

    jobs = [{"id": job.id, "answer": _answer(act, done, job.id)} for job in done.jobs]
    line = {"batch": batch, "answers": dict(told), "jobs": jobs}
    click.echo(printable_json(msgspec.json.encode(line).decode()))
    sys.stdout.flush()


def _number(connected: Connected, act: Act, filter: Filter) -> Number:
    from pgqueue.operations import acting

    deadline = time.monotonic() + COUNTING_SECONDS
    return connected.carry(
        acting.counting(filter, act.states, until=lambda: time.monotonic() > deadline)
    )


def _would(act: Act, filter: Filter, number: Number, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {
                "dry_run": True,
                "jobs": number.jobs,
                "exact": number.exact,
                "filter": filter.words(),
            }
        )
    else:
        say(f"would {act.name} {_jobs(number)} {filter.words()}")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes: there is nobody to ask")
    click.confirm(question, abort=True, err=True)


@contextmanager
def _bar(name: str, number: Number) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how far it has come; without a total where that is not known."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(name, total=number.jobs if number.exact else None)
        yield lambda count: progress.advance(bar, count)


def _why_not(connected: Connected, ids: list[int], dry_run: bool) -> dict[int, str]:
    """Reasons why the act was not done to these jobs, by id."""
    from pgqueue.operations import inspections

    if not ids:
        return {}
    found = connected.execute(inspections.get(ids))
    already = "" if dry_run else " already"
    return {id: f"{found[id].state}{already}" if id in found else "not found" for id in ids}


def _said(act: Act, answer: str) -> str:
    return _SAID.get(act.name, {}).get(answer, answer)


def _jobs(number: Number) -> str:
    return f"{number} job{'' if number.jobs == 1 else 's'}"


def _list(told: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {answer}" for answer, count in told.items())


def _some(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:5]))
    return shown if len(ids) <= 5 else f"{shown}, …"
