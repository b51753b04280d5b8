"""Whether the store is still where it remembers being: a copied queue must not run its jobs
twice."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.backends.base import Backend
from pgqueue.errors import NotAtHome
from pgqueue.operations import Whereabouts
from pgqueue.worker.connection import TROUBLE, ReconnectingConnection

CURE = "if its jobs are to run here, `pgqueue adopt` (--paused: not before you say so)"
WORDS = {
    "database": "the database {}",
    "file": "the file number {}",
    "system": "the server with the system identifier {}",
}


async def check_home(
    line: ReconnectingConnection, backend: Backend, environment: str | None
) -> Whereabouts | None:
    """Raises NotAtHome in a copy, or in the store of another environment.

    A new store notes where it is, and is asked again, since another first worker may have been
    faster.
    """
    if "whereabouts" not in backend.capabilities:
        return None
    found = await line.insist(operations.whereabouts(), on=TROUBLE)
    refuse_strange(found, environment)
    if found.lacks(environment):
        await line.insist(operations.remember(environment), on=TROUBLE)
        found = await line.insist(operations.whereabouts(), on=TROUBLE)
        refuse_strange(found, environment)
    return found


def refuse_strange(found: Whereabouts, environment: str | None) -> None:
    """Raises NotAtHome, which names the remembered place and this one."""
    noted = found.noted or {}
    if moved := found.moved:
        was = " on ".join(WORDS[name].format(noted[name]) for name in moved)
        now = " on ".join(WORDS[name].format(found.place[name]) for name in moved)
        raise NotAtHome(
            f"this queue is a copy, or was moved: it was in {was}, this is {now}; {CURE}"
        )
    if found.environment is not None and found.environment != environment:
        ours = "names none (App(environment=…) or PGQUEUE_ENVIRONMENT)"
        if environment is not None:
            ours = f"is of {environment}"
        raise NotAtHome(
            f"this queue is of the environment {found.environment}, this worker {ours}; {CURE}"
        )
