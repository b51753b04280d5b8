"""What a role was refused, told so that it helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pgqueue.backends.base import Backend
from pgqueue.errors import NotPermitted, PgqueueError
from pgqueue.operations import rights


@contextmanager
def explained(backend: Backend) -> Iterator[None]:
    """Let what was refused within say that the role may only read, if that is so."""
    try:
        yield
    except NotPermitted as refused:
        if (role := _reader(backend)) is None:
            raise
        raise NotPermitted(
            f"the role {role} may only read here; to act, take one that was granted --worker "
            "(`pgqueue grant`), to enqueue alone --enqueuer, or the schema's owner"
        ) from refused


def _reader(backend: Backend) -> str | None:
    """Return the role that we are, if it may read everything here: then no right is missing that
    somebody forgot to give."""
    if "roles" not in backend.capabilities:
        return None
    with (
        suppress(PgqueueError, LookupError),
        backend.connect() as connection,
        backend.on(connection) as runner,
    ):
        held = runner.execute(rights.grant({"reader": [None]}, pretend=True))
        return held[0].role if all(right.held for right in held) else None
    return None
