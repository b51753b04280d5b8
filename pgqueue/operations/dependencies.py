"""Parents and children: hold parents, link children to them, graft jobs between the two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pgqueue.errors import UnknownParent
from pgqueue.jobs.job import Edge, Handle, NewJob, job_id
from pgqueue.operations.claiming import ClaimedJob
from pgqueue.operations.operation import Operation, Plan, nothing
from pgqueue.operations.params import EVERYTHING, as_json, of_ending
from pgqueue.operations.rows import CHUNK


def hold(ids: Sequence[int]) -> Operation[set[int]]:
    """Keep jobs *ids* from finishing until the transaction ends; answer which of them exist."""
    return Operation("hold", {"ids": as_json(ids)}, lambda a: {id for rows in a for (id,) in rows})


def graft(job: ClaimedJob, ids: Sequence[int]) -> Operation[bool]:
    """Let the children of *job* wait for jobs *ids*, too, which this transaction has enqueued.

    Answers False when the lease is lost: then the transaction must be rolled back.
    """
    params = {"id": str(job.id), "lease": str(job.lease), "jobs": as_json(ids)}
    return Operation("graft", params, lambda a: bool(a[0]))


def parents_of(jobs: Sequence[NewJob[Any]]) -> list[list[tuple[int, Edge]]]:
    """Return each job's parents: a job's id, or minus its place in the call, from 0.

    Raises UnknownParent for one that comes later in the call, or is not in it.
    """
    if not any(job.edges for job in jobs):
        return [[]] * len(jobs)
    places: dict[int, int] = {}
    parents: list[list[tuple[int, Edge]]] = []
    for n, job in enumerate(jobs):
        edges: dict[int, Edge] = {}
        for edge in job.edges:
            if not isinstance(edge.parent, NewJob):
                parent = job_id(edge.parent)
            elif (place := places.get(id(edge.parent))) is not None:
                parent = -place
            else:
                raise UnknownParent(
                    f"{job.task}: its parent {edge.parent.task} comes later or is not in this "
                    "call; enqueue parents before or together with their children, in order",
                    task=job.task,
                    parameter="after",
                )
            edges.setdefault(parent, edge)
        parents.append(list(edges.items()))
        places[id(job)] = n
    return parents


def linking(
    handles: Sequence[Handle[Any]],
    parents: Sequence[Sequence[tuple[int, Edge]]],
    now: datetime | None,
) -> Plan[None]:
    """Write the edges of those of *handles* that this call created.

    A parent may be given twice, as a job and as a handle: of two edges to it the first counts, and
    the child, enqueued as waiting for both, is *merged* to wait once.
    """
    rows: list[dict[str, Any]] = []
    merged: list[dict[str, Any]] = []
    new = {handle.id for handle in handles if handle.created}
    for handle, edges in zip(handles, parents, strict=True):
        if not handle.created:
            continue
        resolved = {(p if p > 0 else handles[-p].id): edge for p, edge in reversed(edges)}
        rows += [_edge(handle.id, parent, edge) for parent, edge in resolved.items()]
        if len(resolved) < len(edges):
            merged.append({"child": handle.id, "blocked_by": len(resolved)})
    for start in range(0, len(rows), 5 * CHUNK):
        chunk = rows[start : start + 5 * CHUNK]
        params = {
            "edges": as_json(chunk),
            "merged": as_json(merged if start == 0 else []),
            "elsewhere": as_json(sorted({row["parent"] for row in chunk} - new)),
            **of_ending(EVERYTHING, now),
        }
        yield Operation("link", params, nothing)


def _edge(child: int, parent: int, edge: Edge) -> dict[str, Any]:
    row: dict[str, Any] = {"child": child, "parent": parent, "policy": edge.on_failure}
    if edge.name is not None:
        row["name"] = edge.name
    return row


def ends_of(jobs: Sequence[NewJob[Any]]) -> set[int]:
    """Return `id()` of each job that is a parent of no other job in *jobs*."""
    return {id(job) for job in jobs} - {id(edge.parent) for job in jobs for edge in job.edges}


def follow(jobs: Sequence[NewJob[Any]], parent: int) -> bool:
    """Does one of *jobs* wait for job *parent*?"""
    edges = (edge.parent for job in jobs for edge in job.edges)
    return any(not isinstance(p, NewJob) and job_id(p) == parent for p in edges)
