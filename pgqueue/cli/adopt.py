"""`pgqueue adopt`: let workers run a copied or moved store where it is now."""

from __future__ import annotations

import click

from pgqueue.cli.command import Command
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, acting_options, json_option


@click.command(cls=Command)
@click.option(
    "--paused", is_flag=True, help="Pause all queues first; `pgqueue queues resume` later."
)
@click.option(
    "--environment",
    envvar="PGQUEUE_ENVIRONMENT",
    show_envvar=True,
    metavar="NAME",
    help="Whose queue it is from now on; else the next worker says it.",
)
@acting_options
@json_option
def adopt(store: Store, as_json: bool, paused: bool, environment: str | None) -> None:
    """Let workers run the jobs of a copied, restored or moved queue where it is now.

    A store remembers which database it is, and its workers refuse to run its jobs elsewhere. This
    makes it a store of its own, under a new name: the original stays what it is.
    """
    from pgqueue import backends, operations
    from pgqueue.backends import capabilities
    from pgqueue.operations import Plan
    from pgqueue.operations.auditing import noted
    from pgqueue.operations.operation import one

    if environment is not None and not 1 <= len(environment) <= 128:
        raise click.UsageError("--environment has 1 to 128 characters")
    capabilities.require(backends.connect(store.url, schema=store.schema), "whereabouts")
    who = store.who
    answer = f"of the environment {environment}" if environment else None

    def adopted() -> Plan[tuple[str, list[str]]]:
        asked = one(operations.adopt(environment, paused=paused))
        return noted(
            asked,
            who,
            "adopt",
            reason=store.reason,
            answer=lambda _: answer or "at home here",
        )

    with store.connected() as connected:
        store_id, names = connected.together(adopted)
    if as_json:
        from pgqueue.cli.output import print_json

        print_json({"store": store_id, "environment": environment, "paused": names})
        return
    for name in names:
        say(f"{name} paused")
    whose = f", of the environment {environment}" if environment else ""
    say(f"this queue is at home here{whose}; workers may run it")
