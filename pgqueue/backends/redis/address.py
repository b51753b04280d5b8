"""Where a Redis is: what its URL says, and which node of a cluster has a namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from pgqueue.errors import InvalidUrl, PgqueueError, StoreUnavailable

_SCHEMES = {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss"}
# All scripts are bounded, so an answer that takes longer will never come.
SETTINGS: Mapping[str, Any] = {
    "socket_connect_timeout": 10,
    "socket_timeout": 25,
    "protocol": 2,
}
# Options that are ours, whatever the URL says: notifications need RESP2, and scripts answer bytes.
_OURS = ("protocol", "decode_responses", "encoding", "encoding_errors")
_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """A server, or a cluster's *seeds*; with *evictions* it is allowed to drop jobs when it is
    full."""

    seeds: tuple[str, ...]
    cluster: bool = False
    evictions: bool = False
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(SETTINGS))

    @property
    def db(self) -> int:
        """The number of the server's database."""
        pool = redis.ConnectionPool.from_url(self.seeds[0])
        return int(pool.connection_kwargs.get("db") or 0)


def read(url: str) -> Address:
    """Return the address that *url* names. Raises PgqueueError, InvalidUrl.

    ``redis://``, ``rediss://``, ``valkey://``, ``unix://``; ``redis+cluster://one:7000,two:7000``;
    ``?evictions=allowed``; redis-py reads all other options of the query.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its message repeats a part of the URL, perhaps of the password
        raise InvalidUrl from None
    scheme, _, kind = parts.scheme.partition("+")
    if kind not in ("", "cluster") or (kind and scheme == "unix"):
        raise PgqueueError(
            f"{parts.scheme}://: give redis://, rediss://, redis+cluster:// or unix://"
        )
    query = dict(parse_qsl(parts.query))
    for own in _OURS:
        query.pop(own, None)
    evictions = query.pop("evictions", "refused")
    if evictions not in ("refused", "allowed"):
        raise PgqueueError(f"evictions={evictions}: give refused or allowed")
    if kind and parts.path.strip("/") not in ("", "0"):
        raise PgqueueError(f"{parts.scheme}://: a cluster has one database only, 0")
    user, at, hosts = parts.netloc.rpartition("@")
    scheme = _SCHEMES.get(scheme, scheme)
    rest = parts.path + (f"?{urlencode(query)}" if query else "")
    seeds = tuple(
        f"{scheme}://{user}{at}{host}{rest}"  # urlunsplit would lose the slashes of unix://
        for host in (hosts.split(",") if kind else [hosts])
    )
    if not all(_has_a_port(seed) for seed in seeds):
        raise InvalidUrl
    return Address(seeds, bool(kind), evictions == "allowed")


def _has_a_port(seed: str) -> bool:
    """Is the port of *seed* a number? If not, it may be part of a password that contains a
    colon."""
    try:
        return urlsplit(seed).port != 0
    except ValueError:
        return False


def blocking_pool(address: Address, node: str, size: int) -> redis.ConnectionPool:
    """Return a pool of *size* connections to *node*; while all are in use, a caller waits."""
    return redis.BlockingConnectionPool.from_url(
        node, max_connections=size, timeout=30, retry=Retry(NoBackoff(), 0), **address.settings
    )


def asyncio_pool(address: Address, node: str, size: int) -> redis.asyncio.ConnectionPool:
    """As `blocking_pool`, for asyncio."""
    return redis.asyncio.BlockingConnectionPool.from_url(
        node, max_connections=size, timeout=30, retry=AsyncRetry(NoBackoff(), 0), **address.settings
    )


def node_of(address: Address, key: str) -> str:
    """Return the URL of the node that has *key*: in a cluster, the primary of its slot."""
    if not address.cluster:
        return address.seeds[0]
    last: Exception | None = None
    for seed in address.seeds:
        client = redis.Redis(connection_pool=blocking_pool(address, seed, 1))
        try:
            return _primary(seed, client.execute_command("CLUSTER SLOTS"), key)
        except (redis.ConnectionError, redis.TimeoutError, StoreUnavailable) as error:
            last = error
        finally:
            client.connection_pool.disconnect()
    raise StoreUnavailable(f"no node of the Redis cluster can be reached: {last}") from last


async def node_of_async(address: Address, key: str) -> str:
    """As `node_of`, without blocking the event loop."""
    if not address.cluster:
        return address.seeds[0]
    last: Exception | None = None
    for seed in address.seeds:
        client = redis.asyncio.Redis(connection_pool=asyncio_pool(address, seed, 1))
        try:
            return _primary(seed, await client.execute_command("CLUSTER SLOTS"), key)
        except (redis.ConnectionError, redis.TimeoutError, StoreUnavailable) as error:
            last = error
        finally:
            await client.connection_pool.disconnect()
    raise StoreUnavailable(f"no node of the Redis cluster can be reached: {last}") from last


def _primary(seed: str, slots: Iterable[Sequence[Any]], key: str) -> str:
    """Return *seed* with the host and port of the primary that has *key*'s slot."""
    slot = key_slot(key.encode())
    for first, last, primary, *_ in slots:
        if first <= slot <= last:
            host, port = primary[:2]
            host = host.decode() if isinstance(host, bytes) else host
            parts = urlsplit(seed)
            user, at, _ = parts.netloc.rpartition("@")
            host = host or parts.hostname or "localhost"
            host = f"[{host}]" if ":" in host else host
            return urlunsplit(parts._replace(netloc=f"{user}{at}{host}:{port or _PORT}"))
    raise StoreUnavailable(f"no node of the Redis cluster serves slot {slot}, that of {key}")
