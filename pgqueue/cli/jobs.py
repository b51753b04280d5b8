"""`pgqueue jobs`: list and show jobs, and act on one or on many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.choosing import filter_of, filters
from pgqueue.cli.command import Failure, LazyGroup
from pgqueue.cli.store import Store, acting_options, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.operations.browsing import Order


@click.group(
    cls=LazyGroup,
    commands={
        "dump": ("dumping:dump", "Write jobs to a file."),
        "import": ("dumping:import_jobs", "Bring the jobs of a file here."),
        "tidy": ("dumping:tidy", "Delete now what retention would delete."),
    },
)
def jobs() -> None:
    """List, show, cancel, retry, release, move and purge jobs."""


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
@click.option("--before", type=int, metavar="ID", help="Only those before this id: the next page.")
@click.option(
    "--order",
    type=click.Choice(["newest", "next", "due"]),
    default="newest",
    show_default=True,
    help="next: as a queue's jobs are claimed; due: what is scheduled, by its time.",
)
@store_options
@json_option
def list_jobs(
    store: Store, as_json: bool, limit: int, before: int | None, order: Order, **options: Any
) -> None:
    """Jobs, the newest first, waiting, running and finished ones.

    The table looks at 20,000 jobs and says if there are more; --json goes on until it has found
    as many as were asked for, and gives each job whole.
    """
    from pgqueue.cli import job_views, output
    from pgqueue.jobs.filters import Filter
    from pgqueue.operations import acting
    from pgqueue.operations.browsing import Mark, browse

    filter = filter_of(options) or Filter()
    with store.connected() as connected:
        if as_json and order == "newest":
            output.print_json(connected.carry(acting.listing(filter, before=before, limit=limit)))
            return
        after = None if before is None else Mark(before)
        page = connected.execute(browse(filter, order=order, after=after, limit=limit))
    if as_json:
        output.print_json(page.jobs)
        return
    console = output.console()
    console.print(job_views.job_table(page.jobs) if page.jobs else "no jobs")
    if page.rest is None:
        return
    if len(page.jobs) < limit:
        console.print(f"looked at {page.looked:,} jobs: {len(page.jobs)} found", style="dim")
    if order == "newest" and (len(page.jobs) < limit or console.is_terminal):
        console.print(f"older ones: --before {page.rest.number}", style="dim")


@jobs.command()
@click.argument("id", type=int)
@store_options
@json_option
def show(id: int, store: Store, as_json: bool) -> None:
    """Everything about one job: arguments, result, progress, errors with their tracebacks."""
    from pgqueue.cli import job_views, output
    from pgqueue.operations import inspections

    with store.connected() as connected:
        job = connected.execute(inspections.get([id])).get(id)
        parents = connected.execute(inspections.parents([id]))
    if job is None:
        raise Failure(f"no job {id}; it was never committed, or is past its retention")
    if as_json:
        from pgqueue.views import jobs as documents

        output.print_json(documents.document(job, parents))
    else:
        job_views.print_job(output.console(), job, parents)


def acts(command: Any) -> Any:
    """Gives *command* the arguments and options of all commands that act on jobs: ids, a filter,
    and how to ask."""
    for option in (
        json_option,
        acting_options,
        click.option("--dry-run", is_flag=True, help="Only say how many it would be."),
        click.option(
            "--yes", "-y", is_flag=True, help="Do not ask before acting on a filter's jobs."
        ),
        filters,
        click.argument("ids", metavar="[ID...]", type=int, nargs=-1),
    ):
        command = option(command)
    return command


@jobs.command()
@acts
def cancel(ids: tuple[int, ...], store: Store, **options: Any) -> None:
    """Cancel jobs, by id or by filter; a running one is asked to stop."""
    from pgqueue.cli.bulk import act
    from pgqueue.operations import acting

    act(acting.cancelling(store.reason), ids, filter_of(options), store=store, **options)


@jobs.command()
@acts
def retry(ids: tuple[int, ...], **options: Any) -> None:
    """Run jobs again, by id or by filter; those that wait for their time run now.

    A filter without --state means the discarded ones.
    """
    from pgqueue.cli.bulk import act
    from pgqueue.operations import acting

    act(acting.retrying(), ids, filter_of(options), **options)


@jobs.command()
@acts
def release(ids: tuple[int, ...], **options: Any) -> None:
    """Take running jobs from their workers, by id or by filter: others run them again.

    No attempt is spent. Their workers stop running them, and the outcomes are refused.
    """
    from pgqueue.cli.bulk import act
    from pgqueue.operations import acting

    act(acting.releasing(), ids, filter_of(options), **options)


@jobs.command()
@acts
@click.option(
    "--to",
    required=True,
    metavar="PRIORITY",
    type=click.IntRange(-32768, 32767),
    help="Smaller first.",
)
def reprioritise(ids: tuple[int, ...], to: int, **options: Any) -> None:
    """Give waiting jobs another priority, by id or by filter."""
    from pgqueue.cli.bulk import act
    from pgqueue.operations import acting

    act(acting.moving(priority=to), ids, filter_of(options), **options)


@jobs.command()
@acts
@click.option("--to", required=True, metavar="QUEUE", help="The queue where they wait from now on.")
def move(ids: tuple[int, ...], to: str, **options: Any) -> None:
    """Move waiting jobs to another queue, by id or by filter; the last there."""
    from pgqueue.cli.bulk import act
    from pgqueue.operations import acting

    act(acting.moving(queue=to), ids, filter_of(options), **options)


@jobs.command()
@acts
@click.option(
    "--dump",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="First write what is deleted to FILE; one that is there is continued.",
)
def purge(ids: tuple[int, ...], dump: Path | None, store: Store, **options: Any) -> None:
    """Delete finished jobs, by id or by filter, whatever their retention.

    Jobs whose results an unfinished job may still read stay.
    """
    from pgqueue import backends
    from pgqueue.cli.bulk import act
    from pgqueue.copying import dumping
    from pgqueue.operations import acting

    filter = filter_of(options)
    if dump is None or options["dry_run"]:
        act(acting.purging(), ids, filter, store=store, **options)
        return
    backend = backends.connect(store.url, schema=store.schema)
    file = dumping.DumpFile(dump)
    try:
        transactional = "transactions" in backend.capabilities
        purging = dumping.purging(file.write, transactional=transactional)
        act(purging, ids, filter, store=store, **options)
    finally:
        file.close()
