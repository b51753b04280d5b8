"""`pgqueue workflows`: list, show, cancel, retry."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.command import Failure, LazyGroup
from pgqueue.cli.printable import printable, say
from pgqueue.cli.store import Connected, Store, acting_options, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.operations import Plan
    from pgqueue.operations.inspections import GraphView, WorkflowSummary


@click.group(cls=LazyGroup)
def workflows() -> None:
    """List, show, cancel and retry workflows: graphs of jobs that share a name."""


@workflows.command("list")
@click.option("--name", help="Only those of this name.")
@click.option("--tag", help="Only those with this tag.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, 1_000),
    default=20,
    show_default=True,
    help="So many at the most.",
)
@click.option("--before", type=int, metavar="ID", help="Only those before this id: the next page.")
@store_options
@json_option
def list_workflows(store: Store, as_json: bool, **chosen: Any) -> None:
    """Workflows, the newest first, and how far they are."""
    from rich.text import Text

    from pgqueue.cli import output
    from pgqueue.operations import inspections

    with store.connected() as connected:
        found = connected.execute(inspections.workflows(**chosen))
    if as_json:
        output.print_json([_document(flow) for flow in found])
        return
    table = output.table("id", "name", "state", "jobs", "created", "tags", right=["id"])
    style = {"completed": "green", "failed": "bold red", "open": "bold yellow"}
    for flow in found:
        state = Text(flow.state, style[flow.state])
        created = output.ago(flow.created_at)
        table.add_row(str(flow.id), flow.name, state, _states(flow), created, ", ".join(flow.tags))
    output.console().print(table if found else "no workflows")


@workflows.command()
@click.argument("id", type=int)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot", "svg", "json"]),
    default="text",
    show_default=True,
    help="A drawing for the terminal, or for another program.",
)
@click.option("--unfold", is_flag=True, help="Draw each of many jobs that do the same.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=10_000,
    show_default=True,
    help="So many jobs at the most.",
)
@store_options
@json_option
def show(id: int, form: str, unfold: bool, limit: int, store: Store, as_json: bool) -> None:
    """The graph of a workflow, or of all that hangs together with a job.

    Jobs that do the same between the same others are drawn as one.
    """
    from pgqueue.cli import output
    from pgqueue.operations import inspections

    with store.connected() as connected:
        found = connected.execute(inspections.workflows(id=id))
        flow = found[0] if found else None
        of: dict[str, Any] = {"workflow": id} if flow else {"job": id}
        graph = connected.execute(inspections.graph(**of, limit=limit))
    if not graph.jobs and flow is None:
        raise Failure(f"no workflow and no job {id}; it may be past its retention")
    if as_json or form == "json":
        output.print_json(
            {
                "workflow": None if flow is None else _document(flow),
                "jobs": graph.jobs,
                "edges": [edge._asdict() for edge in graph.edges],
                "cut": graph.cut,
            }
        )
    elif form == "text":
        _print(flow, graph, unfold)
    else:
        from pgqueue.views import graph_formats
        from pgqueue.views.graph_layout import nodes

        write = getattr(graph_formats, form)
        say(write(nodes(graph, fold=not unfold), datetime.now(UTC)))
    if graph.cut:
        say(f"cut: there are more than {limit} jobs; see --limit", err=True)


@workflows.command()
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@acting_options
@json_option
def cancel(ids: tuple[int, ...], yes: bool, store: Store, as_json: bool) -> None:
    """Cancel the waiting jobs of workflows; running ones are asked to stop."""
    from pgqueue import operations

    def operation(id: int) -> Any:
        return operations.cancel(workflow=id, reason=store.reason)

    _change("cancel", ids, yes, store, as_json, operation)


@workflows.command()
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@acting_options
@json_option
def retry(ids: tuple[int, ...], yes: bool, store: Store, as_json: bool) -> None:
    """Run the discarded and cancelled jobs of workflows again, in the order of their edges."""
    from pgqueue import operations

    _change("retry", ids, yes, store, as_json, lambda id: operations.retry(workflow=id))


def _change(
    verb: str,
    ids: tuple[int, ...],
    yes: bool,
    store: Store,
    as_json: bool,
    operation: Any,
) -> None:
    from collections import Counter

    from pgqueue.cli import output
    from pgqueue.operations.auditing import noted
    from pgqueue.operations.operation import one

    who = store.who

    def acted(id: int) -> Plan[Mapping[int, str]]:
        plan: Plan[Mapping[int, str]] = one(operation(id))
        target = f"workflow {id}"
        return noted(
            plan,
            who,
            verb,
            target=target,
            reason=store.reason,
            answer=lambda got: told(Counter(got.values())),
        )

    def told(counts: Mapping[str, int]) -> str:
        said = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
        return said.replace("running", "asked to stop") or "nothing to do"

    with store.connected() as connected:
        for id in ids:
            _require(connected, id)
        if not yes:
            question = f"{verb} workflow{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}?"
            if not sys.stdin.isatty():
                raise click.UsageError(f"{question} Say --yes: there is nobody to ask")
            click.confirm(question, abort=True, err=True)
        answers = {id: Counter(connected.together(partial(acted, id)).values()) for id in ids}
    if as_json:
        output.print_json([{"id": id, "jobs": dict(counts)} for id, counts in answers.items()])
        return
    for id, counts in answers.items():
        say(f"{id} {told(counts)}")


def _require(connected: Connected, id: int) -> None:
    from pgqueue.operations import inspections

    if not connected.execute(inspections.workflows(id=id)):
        raise Failure(f"no workflow {id}; `pgqueue workflows list` shows them")


def _print(flow: WorkflowSummary | None, graph: GraphView, unfold: bool) -> None:
    from rich.text import Text

    from pgqueue.cli import output
    from pgqueue.cli.graph_text import draw
    from pgqueue.views.graph_layout import nodes

    console = output.console()
    if flow is not None:
        console.print(
            Text.assemble(
                (f"workflow {flow.id} ", "bold"), printable(flow.name), f"  {_states(flow)}"
            )
        )
    for line in draw(nodes(graph, fold=not unfold), datetime.now(UTC)):
        console.print(line, soft_wrap=True)


def _states(flow: WorkflowSummary) -> str:
    said = ", ".join(f"{n} {state}" for state, n in sorted(flow.states.items()))
    return said if flow.exact else f"{said}, and more"


def _document(flow: WorkflowSummary) -> dict[str, Any]:
    return {
        "id": flow.id,
        "name": flow.name,
        "state": flow.state,
        "states": flow.states,
        "exact": flow.exact,
        "created_at": flow.created_at,
        "tags": flow.tags,
    }
