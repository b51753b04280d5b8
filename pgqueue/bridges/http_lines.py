"""HTTP by aiohttp: imported only when a line is opened."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import socket
import ssl
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pgqueue.bridges import webhooks
from pgqueue.bridges.base import DELIVERED, Again, Answer, Message, Never, Unreachable
from pgqueue.bridges.secrets import hidden, reveal, said

if TYPE_CHECKING:
    from pgqueue.bridges.http import Endpoint

OPEN_SECONDS: Final = 10.0
KEPT_BYTES: Final = 1_024
LONGEST_WAIT_SECONDS: Final = 86_400.0
_WAITS: Final = (429, 502, 503, 504)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class NotPublic(OSError):
    """This address is not for strangers' URLs."""


class EndpointLine:
    """A session, whose connections stay open between requests."""

    @classmethod
    async def to(cls, endpoint: Endpoint) -> EndpointLine:
        """Return an open line; raises Unreachable if nothing listens at the endpoint's own URL."""
        url = None
        if endpoint.url is not None:
            url = _read(reveal(endpoint.url, "the endpoint's URL"))
            await _listens(url)
        keys = []
        if endpoint.secrets is not None:
            try:
                keys = webhooks.keys(reveal(endpoint.secrets, "the endpoint's secrets"))
            except ValueError:
                raise Unreachable("the endpoint's secrets: not base64 after whsec_") from None
        return cls(endpoint, url, keys)

    def __init__(self, endpoint: Endpoint, url: URL | None, keys: Sequence[bytes]) -> None:
        self._url = url
        self._secrets = _parts(url)
        self._keys = keys
        self._timeout = endpoint.timeout
        connector = aiohttp.TCPConnector(
            limit=endpoint.parallel,
            ssl=ssl.create_default_context(cafile=endpoint.cafile),
            use_dns_cache=False,
            resolver=Public() if url is None else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        return [await self._post(message) for message in messages]

    async def _post(self, message: Message) -> Answer:
        now = int(time.time())
        headers = {
            **message.headers,
            "content-type": message.content_type,
            "user-agent": "pgqueue",
            "webhook-id": message.id,
            "webhook-timestamp": str(now),
        }
        if message.type is not None:
            headers["webhook-type"] = message.type
        if self._keys:
            signed = webhooks.signature(self._keys, message.id, now, message.body)
            headers["webhook-signature"] = signed
        try:
            url = self._url or _strangers(message.to)
            async with self._session.post(
                url, data=message.body, headers=headers, allow_redirects=False
            ) as answer:
                text = await answer.content.read(KEPT_BYTES)
                kept = hidden(text.decode("utf-8", "replace"), *self._secrets)
                return _meaning(answer, kept)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotPublic):
                return Never(str(error.os_error))
            if self._url is not None:
                raise Unreachable(f"the endpoint: {said(error, *self._secrets)}") from None
            return Again(said(error))
        except TimeoutError:
            return Again(f"no answer within {self._timeout:g} s")
        except (NotPublic, aiohttp.InvalidURL) as error:
            return Never(hidden(str(error), *self._secrets))
        except aiohttp.ClientResponseError as error:  # its text holds the URL
            kind, why = type(error).__name__, hidden(error.message, *self._secrets)
            return Again(f"{kind}: {error.status}, {why}"[:300])
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Again(said(error, *self._secrets))

    async def close(self) -> None:
        await self._session.close()


class Public(AbstractResolver):
    """Resolves names to public addresses, all of them or none; the connection goes to these, so a
    name that means something else a moment later has no effect."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results = []
        for kind, _, protocol, _, address in found:
            number = str(address[0])
            refuse_private(number, host)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=number,
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None: ...


def refuse_private(number: str, host: str) -> None:
    """Raise NotPublic if the address *number*, which *host* means, is none of the Internet's."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        address = address if inner is None else inner
    if not address.is_global or address.is_multicast:
        raise NotPublic(f"{host} is {number}, which is not a public address")


def _strangers(to: str | None) -> URL:
    url = _read(to or "")
    try:
        ipaddress.ip_address((url.host or "").partition("%")[0])
    except ValueError:
        return url  # a name, which `Public` resolves
    refuse_private(url.host or "", url.host or "")
    return url


def _parts(url: URL | None) -> list[str]:
    """What of the endpoint's own *url* nobody is to read: all of it may be secret but its host."""
    if url is None:
        return []
    found = [str(url), url.raw_path_qs, url.path_qs, url.raw_query_string, url.password or ""]
    return [part for part in found if len(part) > 3]  # "/" is none


def _read(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        raise Unreachable("the endpoint's URL cannot be read") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise Unreachable("the endpoint's URL cannot be read; give https://…")
    return url


async def _listens(url: URL) -> None:
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            _, writer = await asyncio.open_connection(url.host, url.port)
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"HTTP at {url.host}:{url.port}: {said(error, url.password)}") from None
    writer.close()


def _meaning(answer: aiohttp.ClientResponse, text: str) -> Answer:
    status = answer.status
    if 200 <= status < 300:
        return DELIVERED
    why = f"{status} {answer.reason or ''}: {text}" if text else f"{status} {answer.reason or ''}"
    if status == 410:
        return Never(why)
    if status in _WAITS and (seconds := _seconds(answer.headers.get("Retry-After"))) is not None:
        return Again(why, timedelta(seconds=seconds), spent=False)
    return Again(why)


def _seconds(said: str | None) -> float | None:
    """What Retry-After means: seconds or a date, at most a day."""
    if said is None:
        return None
    if said.isascii() and said.isdigit():
        seconds = float(said)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return None
    return min(LONGEST_WAIT_SECONDS, max(0.0, seconds))
