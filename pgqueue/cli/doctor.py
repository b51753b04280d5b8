"""`pgqueue doctor`: what ails the queue, and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgqueue.cli.command import Command
from pgqueue.cli.store import Store, json_option, store_options

if TYPE_CHECKING:
    from rich.table import Table

    from pgqueue.doctor import Finding

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "bold red")}


@click.command(cls=Command)
@click.option(
    "--listen-url", metavar="URL", help="The workers' way around a pooler; or PGQUEUE_LISTEN_URL."
)
@store_options
@json_option
@click.pass_context
def doctor(ctx: click.Context, store: Store, as_json: bool, listen_url: str | None) -> None:
    """Look at everything that can go wrong, and say what helps; changes nothing.

    Looks from here, as the role of --url: run it where your application or your workers run. Exit
    code 1 if there is an error; warnings do not count.
    """
    from pgqueue import backends
    from pgqueue.cli import output
    from pgqueue.doctor import examine

    backend = backends.connect(store.url, schema=store.schema, listen_url=listen_url)
    findings = list(examine(backend, store.schema))
    if as_json:
        output.print_json(findings)
    else:
        output.console().print(_table(findings))
    ctx.exit(1 if any(finding.level == "error" for finding in findings) else 0)


def _table(findings: list[Finding]) -> Table:
    from rich.text import Text

    from pgqueue.cli import output

    table = output.table("", "check", "found", "what helps")
    for finding in findings:
        sign, style = SIGNS[finding.level]
        shown = "" if finding.level == "ok" else style
        table.add_row(
            Text(sign, style),
            finding.check,
            output.foreign(finding.message, shown),
            finding.cure or "",
        )
    return table
