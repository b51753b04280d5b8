"""`pgqueue enqueue`: one job, by its task's name, from a shell."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pgqueue.cli.command import Command
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, json_option, store_options


@click.command(cls=Command)
@click.argument("task")
@click.argument("args", metavar="[ARGS]", default="{}")
@click.option("--queue", "-q", default="default", show_default=True, help="Its queue.")
@click.option("--priority", type=int, default=0, show_default=True, help="Smaller runs first.")
@click.option("--delay", type=float, metavar="SECONDS", help="Run it so much later.")
@click.option("--run-at", metavar="INSTANT", help="Run it then: 2030-06-01T12:00:00+00:00.")
@click.option("--max-attempts", type=int, default=10, show_default=True, help="Try so often.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Stop an attempt after so long.")
@click.option("--key", help="Whose it is: a tenant, an account.")
@click.option("--unique", metavar="KEY", help="Not if an unfinished job has this key.")
@click.option("--tag", "tags", multiple=True, help="For finding it again; may be repeated.")
@click.option(
    "--after", "parents", type=int, multiple=True, metavar="ID", help="Wait for this job."
)
@store_options
@json_option
def enqueue(
    task: str,
    args: str,
    delay: float | None,
    run_at: str | None,
    timeout: float | None,
    parents: tuple[int, ...],
    store: Store,
    as_json: bool,
    **options: Any,
) -> None:
    """Enqueue one job of TASK, with ARGS as a JSON object.

    \b
    pgqueue enqueue send_receipt '{"order_id": 7}' --queue mail

    Its arguments are checked where it runs: task and queue are taken as they are given.
    """
    from pgqueue.cli import output
    from pgqueue.errors import InvalidJob
    from pgqueue.jobs.job import NewJob

    try:
        job = NewJob[Any](
            task,
            args,
            run_at=_instant(run_at),
            delay=_duration("--delay", delay),
            timeout=_duration("--timeout", timeout),
            **options,
        ).after(*parents)
    except InvalidJob as error:
        raise click.UsageError(str(error)) from error
    with store.connected() as connected:
        [handle] = connected.enqueue([job])
    if as_json:
        output.print_json(handle)
    elif handle.created:
        say(f"job {handle.id} enqueued")
    else:
        say(f"job {handle.id} holds this key already")


def _duration(option: str, seconds: float | None) -> timedelta | None:
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise click.UsageError(
            f"{option} {seconds:g} cannot be waited; give a finite number"
        ) from None


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(
            f"--run-at {json.dumps(text)} is no instant; write 2030-06-01T12:00:00+00:00"
        ) from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
