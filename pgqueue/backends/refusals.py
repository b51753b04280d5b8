"""Errors of missing rights, completed by what the role has and what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pgqueue.backends.base import Backend
from pgqueue.errors import NotPermitted, PgqueueError
from pgqueue.operations import rights


@contextmanager
def explained(backend: Backend) -> Iterator[None]:
    """Add to an error about missing rights within the block which part the role has, and which it
    needs."""
    try:
        yield
    except NotPermitted as refused:
        role, parts = _played(backend)
        if parts == {"reader"}:
            words = (
                f"the role {role} may only read here; to act, take one that was granted --worker "
                "(`pgqueue grant`), to enqueue alone --enqueuer, or the schema's owner"
            )
        elif parts == {"enqueuer"}:
            words = _cure(refused, f"{role} may only enqueue here", role, "--worker {role} to act")
        elif "worker" in parts and "reader" not in parts:
            words = _cure(refused, f"{role} works here, and does not read the audit", role)
        else:
            raise
        raise NotPermitted(words) from refused


def _cure(refused: NotPermitted, said: str, role: str, *more: str) -> str:
    what = str(refused).partition("; the schema's owner")[0]
    options = ", ".join(["--reader {role} to look", *more]).format(role=role)
    return f"{what}; the role {said}; the schema's owner runs `pgqueue grant` {options}"


def _played(backend: Backend) -> tuple[str, set[str]]:
    """Return the role that we are, and the parts of which it has all rights."""
    if "roles" not in backend.capabilities:
        return "", set()
    with (
        suppress(PgqueueError, LookupError),
        backend.connect() as connection,
        backend.on(connection) as runner,
    ):
        held = runner.execute(rights.grant({part: [None] for part in rights.PARTS}, pretend=True))
        lacking = {right.part for right in held if not right.held}
        return held[0].role, {part for part in rights.PARTS if part not in lacking}
    return "", set()
