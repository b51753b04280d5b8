"""The one place where redis-py's errors become pgqueue's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from pgqueue.errors import NotPermitted, PgqueueError, StoreBusy, StoreUnavailable

# Nothing was carried out: the server is a replica, starting or full, or the namespace has moved.
_AWAY = (
    "ASK",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOREPLICAS",
    "OOM",
    "OUTOFMEMORY",
    "READONLY",
    "TRYAGAIN",
)
_OLDEST = (6, 2)


@contextmanager
def translated(*, transient: bool = True) -> Iterator[None]:
    """Raise pgqueue's errors for redis-py's.

    Not *transient*: the pipeline is the caller's, and so the server's errors are passed on as they
    are.
    """
    try:
        yield
    except redis.exceptions.NoPermissionError as error:
        raise NotPermitted(
            f"Redis says: {error}; its ACL decides who may run which commands"
        ) from error
    except redis.ResponseError as error:
        if not transient:
            raise
        if is_called(error, "BUSY"):
            raise StoreBusy(f"Redis is busy with somebody's script: {error}") from error
        if is_called(error, *_AWAY):
            raise StoreUnavailable(f"Redis takes no jobs at the moment: {error}") from error
        raise
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailable(f"Redis cannot be reached: {error}") from error
    except RuntimeError as error:
        if "closed" not in str(error):  # uvloop's word for a broken connection
            raise
        raise StoreUnavailable(f"Redis cannot be reached: {error}") from error
    except AttributeError as error:
        if error.obj is not None or error.name != "writelines":
            raise  # None.writelines: the connection ended while redis-py was connecting
        raise StoreUnavailable("Redis cannot be reached: the connection has ended") from error


def is_called(error: Exception, *codes: str) -> bool:
    """Did the server answer with one of *codes*? A script's error has the code inside its
    message."""
    kind = type(error).__name__.removesuffix("Error").upper()
    words = str(error).replace("-", " ").split()[:12]
    return kind in codes or any(word.strip(".,:") in codes for word in words)


def require_safe(info: dict[str, Any], *, evictions: bool) -> None:
    """Raise PgqueueError when *info*, the answer to INFO, is that of a server that is not safe for
    jobs.

    It may be too old, or may evict keys when it is full and *evictions* are not allowed.
    """
    version = str(info.get("redis_version", ""))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST and version:
        raise PgqueueError(f"Redis {version} is too old: 6.2 or later, or Valkey, is needed")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and not evictions:
        raise PgqueueError(
            f"this Redis throws keys away when it is full (maxmemory-policy is {policy}), jobs "
            "among them: CONFIG SET maxmemory-policy noeviction; or say ?evictions=allowed in the "
            "URL, and lose jobs"
        )
