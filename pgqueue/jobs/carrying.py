"""Context variables whose texts travel in jobs' metadata, from the enqueue to the run.

    correlation_id: ContextVar[str] = ContextVar("correlation_id")
    pgqueue.carry(correlation_id)

A job runs with the value that the variable had where it was enqueued, in a request or a task; so do
the jobs that it enqueues. In SQL, `metadata => '{"correlation_id": "7"}'` does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from pgqueue.jobs import checks, jsontext
from pgqueue.jobs.job import NewJob

Carrier: TypeAlias = Callable[[Sequence[NewJob[Any]]], Mapping[str, str]]
carriers: Final[list[Carrier]] = []
"""Each is called once for all jobs of one call, and returns the texts that go with them."""
variables: Final[dict[str, ContextVar[str]]] = {}
"""The variables given to `carry`, by the name in the metadata."""
_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def carry(variable: ContextVar[str], *, name: str | None = None) -> None:
    """Have jobs run with the text that *variable* had where they were enqueued.

    It travels in the job's metadata, under the variable's own name or *name*; a job's own metadata
    takes precedence. A variable without a value is not carried, and one whose value is no text
    makes `enqueue` raise InvalidJob. Raises ValueError for a name that another variable has.
    """
    name = variable.name if name is None else name
    if variables.setdefault(name, variable) is not variable:
        raise ValueError(f"another variable is carried as {name!r}; give this one a name=")
    if _of_variables not in carriers:
        carriers.append(_of_variables)


def restore(metadata: str | None) -> None:
    """Set each carried variable to its text in *metadata*, a job's."""
    if metadata is None:
        return
    said = _decoder.decode(metadata)
    for name, variable in variables.items():
        if isinstance(value := said.get(name), str):
            variable.set(value)


def texts_for(jobs: Sequence[NewJob[Any]]) -> dict[str, str]:
    """Return the texts of all carriers for *jobs*."""
    return {name: text for carrier in carriers for name, text in carrier(jobs).items()}


class Stamp:
    """Puts *texts* into the metadata of jobs. Jobs with equal metadata share one text, so that many
    jobs stay one short statement."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._written: dict[str | None, str] = {}

    def put(self, job: NewJob[Any]) -> NewJob[Any]:
        """Return *job* with the texts, and without its hooks, which have been called."""
        stamped: NewJob[Any] = job.__copy__()  # type: ignore[attr-defined]  # every Struct has it
        force_setattr(stamped, "on_enqueue", ())
        if self._texts:
            metadata = self._written.get(job.metadata)
            if metadata is None:
                metadata = self._written[job.metadata] = self._write(job)
            force_setattr(stamped, "metadata", metadata)
        return stamped

    def _write(self, job: NewJob[Any]) -> str:
        own = {} if job.metadata is None else _decoder.decode(job.metadata)
        with checks.json_errors(job.task, "metadata"):
            return jsontext.write({**self._texts, **own}, checks.MAX_METADATA_BYTES)


def _of_variables(jobs: Sequence[NewJob[Any]]) -> dict[str, str]:
    texts = {}
    for name, variable in variables.items():
        value: object = variable.get(None)
        if value is None:
            continue
        if not isinstance(value, str):
            task = jobs[0].task if jobs else "enqueue"
            checks.refuse(task, name, f"{checks.shown(value)} is not a str, and is to be carried")
        texts[name] = value
    return texts
