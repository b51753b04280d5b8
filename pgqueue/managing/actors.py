"""Who acts: the name in the audit."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import suppress
from typing import Final

VARIABLE: Final = "PGQUEUE_ACTOR"
MOST_CHARS: Final = 200


def this_user() -> str:
    """Return who runs this process: the operating system's user, and the host."""
    return f"{_user()}@{socket.gethostname()}"


def actor(name: str | None = None) -> str:
    """Return *name*, or PGQUEUE_ACTOR, or who runs this process. Raises ValueError for an invalid
    name."""
    name = name if name is not None else os.environ.get(VARIABLE) or this_user()
    if not 1 <= len(name) <= MOST_CHARS or not name.isprintable():
        raise ValueError(f"who acts has a name of 1 to {MOST_CHARS} printable characters")
    return name


def _user() -> str:
    with suppress(ImportError, KeyError, AttributeError):
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    with suppress(ImportError, KeyError, OSError):
        return getpass.getuser()
    return "somebody"  # a container whose user has no name
