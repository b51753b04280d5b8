"""`pgqueue schedules`: list, show, next, pause, resume, run, change, reset, backfill."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgqueue.cli.command import LazyGroup
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, acting_options, json_option, store_options
from pgqueue.operations import editing

if TYPE_CHECKING:
    from pgqueue.jobs.schedules.rows import ScheduleRow
    from pgqueue.jobs.schedules.timing import Timing
    from pgqueue.operations import Fired, Plan, Unreadable

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
NONE = "none"


@click.group(cls=LazyGroup)
def schedules() -> None:
    """What is enqueued again and again: list, show, pause, run, change."""


@schedules.command("list")
@click.option("--owner", help="Only those of this application.")
@store_options
@json_option
def list_schedules(owner: str | None, store: Store, as_json: bool) -> None:
    """Every schedule, when it fires next, and whether anything stands in its way."""
    from pgqueue import operations
    from pgqueue.cli import output, schedule_views

    with store.connected() as connected:
        rows: list[ScheduleRow] = []
        unreadable: list[Unreadable] = []
        after: str | None = None
        while True:
            page = connected.execute(operations.schedules(owner=owner, after=after))
            rows += page.rows
            unreadable += page.unreadable
            names = [row.name for row in page.rows] + [row.name for row in page.unreadable]
            if len(names) < 1_000:
                break
            after = max(names)
    if as_json:
        output.print_json(rows)
        return
    output.console().print(
        schedule_views.table(rows, unreadable, page.now) if rows or unreadable else "no schedules"
    )


@schedules.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(0, 1_000), default=10, show_default=True)
@store_options
@json_option
def show(name: str, limit: int, store: Store, as_json: bool) -> None:
    """One schedule: what is in force, what was changed, what became of its latest instants."""
    from pgqueue import operations
    from pgqueue.cli import output, schedule_views

    with store.connected() as connected:
        row = connected.carry_out(editing.read(name))
        firings = connected.execute(operations.firings(name, limit=limit)) if limit else []
    if as_json:
        output.print_json({**row.as_dict(), "firings": firings})
    else:
        schedule_views.print_schedule(output.console(), row, firings)


@schedules.command("next")
@click.argument("what", metavar="NAME|WHEN")
@click.option("--zone", help="The time zone of a WHEN.  [default: UTC]")
@click.option("--count", type=click.IntRange(1, 1_000), default=10, show_default=True)
@click.option("--since", metavar="INSTANT", help="After this instant instead of now.")
@store_options
@json_option
def next_instants(
    what: str, zone: str | None, count: int, since: str | None, store: Store, as_json: bool
) -> None:
    """The next instants of a schedule, or of what you say: "every weekday at 9:00".

    Marks instants that a clock change moves. A WHEN needs no store.
    """
    from pgqueue.cli import output, schedule_views
    from pgqueue.views.schedules import coming

    timing = _timing(what, zone, store)
    found = coming(timing, _instant("--since", since) or datetime.now(UTC), count)
    if as_json:
        output.print_json(found)
    else:
        schedule_views.print_coming(output.console(), timing, found)


@schedules.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@acting_options
@json_option
def pause(names: tuple[str, ...], store: Store, as_json: bool) -> None:
    """Stop firing, also after deploys and changes, until resumed."""
    who = store.who
    _each(
        "pause",
        names,
        store,
        as_json,
        lambda name: editing.pause(name, who),
        "paused",
        "was paused",
    )


@schedules.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--catch-up", is_flag=True, help="Treat the instants of the pause as missed.")
@acting_options
@json_option
def resume(names: tuple[str, ...], catch_up: bool, store: Store, as_json: bool) -> None:
    """Fire again; the instants of the pause are dropped."""

    def plan(name: str) -> Plan[bool]:
        return editing.resume(name, catch_up=catch_up)

    _each("resume", names, store, as_json, plan, "resumed", "was not paused")


@schedules.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also beside an unfinished job.")
@acting_options
@json_option
def run(name: str, force: bool, store: Store, as_json: bool) -> None:
    """Enqueue a schedule's job now, also while it is paused."""
    from pgqueue.cli import output

    with store.connected() as connected:
        plan = partial(editing.run_now, name, force=force)
        fired = connected.together(_noted("run", name, store, plan))
    [became] = fired.became
    if as_json:
        output.print_json(became._asdict())
    elif became.outcome == "skipped":
        say(f"skipped: job {became.job} is not finished; --force enqueues another")
    else:
        say(f"job {became.job}")


@schedules.command()
@click.argument("name")
@click.argument("when", required=False)
@click.option("--cron", metavar="FIELDS", help="When, as cron says it.")
@click.option("--zone", help="The time zone of its clock.")
@click.option("--missed", type=click.Choice(["latest", "all", "skip"]))
@click.option("--catch-up", metavar="SECONDS", help="How late is too late, or none.")
@click.option("--overlap", type=click.Choice(["skip", "next", "allow", "replace"]))
@click.option("--jitter", metavar="SECONDS", type=float, help="Spread the start by this much.")
@click.option("--starts", metavar="INSTANT", help="Fire from then on, or none.")
@click.option("--ends", metavar="INSTANT", help="Fire before then only, or none.")
@acting_options
@json_option
def change(name: str, store: Store, as_json: bool, **said: Any) -> None:
    """Change a schedule at run time; deploys leave the change alone until `reset`."""
    from pgqueue.jobs.schedules.merging import columns_of

    when, cron, zone = said.pop("when"), said.pop("cron"), said.pop("zone")
    if when is not None and cron is not None:
        raise click.UsageError("give WHEN or --cron, not both")
    options = {field: value for field, value in said.items() if value is not None}
    for field in ("starts", "ends"):
        if field in options:
            options[field] = _instant(f"--{field}", options[field])
    if "catch_up" in options:
        options["catch_up"] = _seconds("--catch-up", options["catch_up"])
    columns = columns_of(name, cron if when is None else when, zone, None, options)
    if not columns:
        raise click.UsageError("say what is to change: WHEN, or an option such as --zone")
    done, already = "changed", "is so already"
    _each(
        "change", (name,), store, as_json, lambda name: editing.alter(name, columns), done, already
    )


@schedules.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@acting_options
@json_option
def reset(names: tuple[str, ...], store: Store, as_json: bool) -> None:
    """Undo the changes made at run time: it is as declared again."""
    _each(
        "reset",
        names,
        store,
        as_json,
        lambda name: editing.restore(name),
        "reset",
        "was not changed",
    )


@schedules.command()
@click.argument("name")
@click.option("--since", metavar="INSTANT", required=True, help="From this instant on.")
@click.option("--until", metavar="INSTANT", required=True, help="Before this instant.")
@click.option(
    "--force",
    is_flag=True,
    help="Also where earlier firings are not remembered: some jobs may run twice.",
)
@acting_options
@json_option
def backfill(name: str, since: str, until: str, force: bool, store: Store, as_json: bool) -> None:
    """Enqueue a schedule's job for each past instant that had none."""
    from pgqueue.cli import output

    start, end = _instant("--since", since), _instant("--until", until)
    if start is None or end is None:
        raise click.UsageError("give both as instants, 2030-06-01T12:00:00+00:00")
    with store.connected() as connected:
        plan = partial(editing.make_up, name, start, end, force=force)
        fired = connected.together(_noted("backfill", name, store, plan))
    if as_json:
        output.print_json([became._asdict() for became in fired.became])
    else:
        say(f"{len(fired.became)} jobs")


def _noted(
    verb: str, name: str, store: Store, plan: Callable[[], Plan[Fired]]
) -> Callable[[], Plan[Fired]]:
    """*plan*, which enqueues jobs of the schedule *name*, followed by the note who did it, and
    why."""
    from pgqueue.operations import Fired
    from pgqueue.operations.auditing import noted

    who = store.who
    return lambda: noted(
        plan(),
        who,
        verb,
        target=f"schedule {name}",
        reason=store.reason,
        answer=Fired.words,
    )


def _each(
    verb: str,
    names: tuple[str, ...],
    store: Store,
    as_json: bool,
    plan: Callable[[str], Plan[bool]],
    done: str,
    already: str,
) -> None:
    from pgqueue.cli import output
    from pgqueue.operations.auditing import noted

    who = store.who

    def edited(name: str) -> Plan[bool]:
        return noted(
            plan(name),
            who,
            verb,
            target=f"schedule {name}",
            reason=store.reason,
            answer=lambda did: done if did else already,
        )

    with store.connected() as connected:
        answers = {name: connected.together(partial(edited, name)) for name in names}
    if as_json:
        output.print_json([{"name": name, "changed": did} for name, did in answers.items()])
    else:
        for name, did in answers.items():
            say(f"{name} {done if did else already}")


def _timing(what: str, zone: str | None, store: Store) -> Timing:
    """The timing of the schedule *what*, if that can be a name; otherwise *what* itself, parsed."""
    from pgqueue.jobs.schedules.timing import Timing

    if " " in what or what.startswith("@") or zone is not None:
        return Timing.parse(what, zone=zone)
    with store.connected() as connected:
        timing: Timing = connected.carry_out(editing.read(what)).timing()
    return timing


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None or text == NONE:
        return None
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant
    except ValueError:
        pass
    raise click.UsageError(f"{option} {text!r} is no instant; write 2030-06-01T12:00:00+00:00")


def _seconds(option: str, text: str) -> float | None:
    if text == NONE:
        return None
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"{option} {text!r} is no number of seconds") from None
