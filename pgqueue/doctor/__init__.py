"""The checks of a queue: each looks at one thing, says what it found, and what helps.

A check is a function from a `Patient` to findings. It names the statement file or the capability
that it needs, and is left out on a store that lacks it: a store without roles, replicas or vacuum
has fewer checks, not different ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgqueue.backends.base import Backend
from pgqueue.doctor.bridges import BRIDGES
from pgqueue.doctor.connection import CONNECTION
from pgqueue.doctor.counts import COUNTS
from pgqueue.doctor.findings import Check as Check
from pgqueue.doctor.findings import Finding as Finding
from pgqueue.doctor.findings import Patient, error, warning
from pgqueue.doctor.schedules import SCHEDULES
from pgqueue.doctor.server import SERVER
from pgqueue.doctor.work import WORK
from pgqueue.errors import NotPermitted, PgqueueError, SchemaError, StoreUnavailable
from pgqueue.statements.files import names

CHECKS: tuple[Check, ...] = (*CONNECTION, *SERVER, *WORK, *SCHEDULES, *BRIDGES, *COUNTS)


def examine(backend: Backend, schema: str) -> Iterator[Finding]:
    """Yield the findings of all checks, in their order; without a connection or a schema, only
    that."""
    files = names(backend.store)
    try:
        with backend.connect() as connection:
            patient = Patient(backend, connection, schema)
            for check in CHECKS:
                if check.applies_to(backend.capabilities, files):
                    yield from _carried_out(check, patient)
    except StoreUnavailable as away:
        yield error("connection", str(away), "check --url or PGQUEUE_URL, and that the server runs")
    except NotPermitted as refused:
        cure = (
            "its owner runs `pgqueue grant`, with --enqueuer, --worker or --reader"
            if "roles" in backend.capabilities
            else f"give it what {backend.store} has for that"
        )
        yield error("rights", str(refused).partition(";")[0], cure)
    except SchemaError:
        yield error(
            "schema", f"the schema {schema} has no tables, or old ones", "run `pgqueue migrate`"
        )
    except PgqueueError as failed:
        yield error("connection", str(failed))


def _carried_out(check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check.look(patient)
    except NotPermitted as refused:
        if check.essential:
            raise
        yield warning(check.name, f"may not look: {refused}", "ask as a role that may")
    except (StoreUnavailable, SchemaError):
        raise
    except PgqueueError as failed:
        yield error(check.name, str(failed))
