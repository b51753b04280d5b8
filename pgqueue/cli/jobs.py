"""`pgqueue jobs`: list, show, cancel, retry."""

from __future__ import annotations

from typing import Any

import click

from pgqueue.cli.command import Failure, LazyGroup
from pgqueue.cli.store import Store, json_option, store_options

STATES = click.Choice(
    [
        "blocked",
        "scheduled",
        "available",
        "running",
        "retryable",
        "completed",
        "cancelled",
        "discarded",
    ]
)


def filters(command: Any) -> Any:
    """Gives *command* the options that choose jobs."""
    for option in (
        click.option("--tag", help="Only those with this tag."),
        click.option("--task", help="Only those of this task."),
        click.option("--queue", "-q", help="Only those of this queue."),
        click.option("--state", "-s", type=STATES, help="Only those in this state."),
    ):
        command = option(command)
    return command


@click.group(cls=LazyGroup)
def jobs() -> None:
    """List, show, cancel and retry jobs."""


@jobs.command("list")
@filters
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="So many at the most.",
)
@click.option("--before", type=int, metavar="ID", help="Only older ones: the next page.")
@store_options
@json_option
def list_jobs(store: Store, as_json: bool, state: str | None, **chosen: Any) -> None:
    """Jobs, the newest first, waiting, running and finished ones."""
    from pgqueue import inspections
    from pgqueue.cli import job_views, output
    from pgqueue.jobs import State

    with store.connected() as connected:
        wanted = State(state) if state else None
        found = connected.execute(inspections.list_jobs(state=wanted, **chosen))
    if as_json:
        output.print_json(found)
        return
    console = output.console()
    console.print(job_views.job_table(found) if found else "no jobs")
    if len(found) == chosen["limit"] and console.is_terminal:
        console.print(f"older ones: --before {found[-1].id}", style="dim")


@jobs.command()
@click.argument("id", type=int)
@store_options
@json_option
def show(id: int, store: Store, as_json: bool) -> None:
    """Everything about one job: arguments, result, progress, errors with their tracebacks."""
    from pgqueue import inspections
    from pgqueue.cli import job_views, output

    with store.connected() as connected:
        job = connected.execute(inspections.get([id])).get(id)
        parents = connected.execute(inspections.parents([id]))
    if job is None:
        raise Failure(f"no job {id}; it may be past its retention")
    if as_json:
        output.print_json(job_views.document(job, parents))
    else:
        job_views.print_job(output.console(), job, parents)


@jobs.command()
@click.argument("ids", metavar="[ID...]", type=int, nargs=-1)
@filters
@click.option("--reason", help="Why, for those who look at them later.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before acting on a filter's jobs.")
@store_options
@json_option
def cancel(ids: tuple[int, ...], reason: str | None, **options: Any) -> None:
    """Cancel jobs, by id or by filter; a running one is asked to stop."""
    from pgqueue import operations
    from pgqueue.cli.acting import Verb, act

    def answer(connected: Any, batch: list[int]) -> dict[int, str]:
        told = connected.execute(operations.cancel(batch, reason=reason))
        return {id: "asked to stop" if state == "running" else state for id, state in told.items()}

    verb = Verb("cancel", answer, done={"cancelled", "asked to stop"}, states=UNFINISHED)
    act(verb, ids, **options)


@jobs.command()
@click.argument("ids", metavar="[ID...]", type=int, nargs=-1)
@filters
@click.option("--yes", "-y", is_flag=True, help="Do not ask before acting on a filter's jobs.")
@store_options
@json_option
def retry(ids: tuple[int, ...], **options: Any) -> None:
    """Run jobs again, by id or by filter; those that wait for their time run now.

    A filter without --state means the discarded ones.
    """
    from pgqueue import operations
    from pgqueue.cli.acting import Verb, act

    def answer(connected: Any, batch: list[int]) -> dict[int, str]:
        told: dict[int, str] = connected.execute(operations.retry(batch))
        return told

    act(Verb("retry", answer, done={"available", "blocked"}, states=("discarded",)), ids, **options)


UNFINISHED = ("blocked", "scheduled", "available", "retryable", "running")
