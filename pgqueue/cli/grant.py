"""`pgqueue grant`: roles may do what their part needs, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgqueue.cli.command import Command
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.operations.rights import Right


@click.command(cls=Command)
@click.option("--enqueuer", multiple=True, metavar="ROLE", help="May enqueue, and read nothing.")
@click.option("--worker", multiple=True, metavar="ROLE", help="May run jobs, and operate queues.")
@click.option("--reader", multiple=True, metavar="ROLE", help="May read all, and change nothing.")
@click.option(
    "--revoke", multiple=True, metavar="ROLE", help="First take all rights in this schema from it."
)
@click.option("--sql", is_flag=True, help="Only print the SQL, for psql or for reading.")
@store_options
@json_option
def grant(
    store: Store,
    as_json: bool,
    enqueuer: tuple[str, ...],
    worker: tuple[str, ...],
    reader: tuple[str, ...],
    revoke: tuple[str, ...],
    sql: bool,
) -> None:
    """Let database roles do what their part of an application does, and nothing else.

    \b
    pgqueue grant --enqueuer web --worker jobs --reader reports

    Only the owner of the schema can do that. Each option may be repeated, and a role may have
    several parts. A migration may bring tables that nobody may use yet: grant once more after it.
    With --revoke and another option for the same role, it has that part alone afterwards.
    """
    from pgqueue import backends
    from pgqueue.backends import capabilities
    from pgqueue.operations.rights import grant

    roles = {"enqueuer": enqueuer, "worker": worker, "reader": reader}
    if not any([*roles.values(), revoke]):
        raise click.UsageError("name a role: --enqueuer, --worker, --reader or --revoke ROLE")
    capabilities.require(backends.connect(store.url, schema=store.schema), "roles")
    with store.connected() as connected:
        rights = connected.execute(grant(roles, stripped=revoke, pretend=sql))
    if as_json:
        from pgqueue.cli.output import print_json

        print_json([right._asdict() for right in rights])
    elif sql:
        for right in rights:
            say(f"{right.command};")
    else:
        _say(rights)


def _say(rights: list[Right]) -> None:
    for role in dict.fromkeys(right.role for right in rights):
        parts = list(dict.fromkeys(r.part for r in rights if r.role == role and r.part))
        lost = any(right.role == role and right.part is None for right in rights)
        now = f"is {' and '.join(parts)}" if parts else "may do nothing here"
        say(f"{role} {now}{', and no more' if lost and parts else ''}")
