"""`pgqueue why`: what keeps a job from running, in one sentence."""

from __future__ import annotations

import click

from pgqueue.cli.command import Command, Failure
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, json_option, store_options


@click.command(cls=Command)
@click.argument("id", type=int)
@store_options
@json_option
def why(id: int, store: Store, as_json: bool) -> None:
    """Say why a job is not running, or what became of it."""
    from pgqueue.cli import output
    from pgqueue.doctor.why import sentence
    from pgqueue.operations import inspections

    with store.connected() as connected:
        situation = connected.execute(inspections.why(id))
    if situation is None:
        raise Failure(f"no job {id}; it was never committed, or is past its retention")
    if as_json:
        output.print_json({"id": id, "state": situation.job.state, "why": sentence(situation)})
    else:
        say(sentence(situation))
