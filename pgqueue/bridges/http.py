"""HTTP: webhooks, signed as Standard Webhooks say. `pip install 'pgqueue[http]'`.

A URL that comes with a message is a stranger's: no request goes to an address that is not public,
whatever the name resolves to when the connection is made, and no redirect is followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pgqueue.bridges.base import Message, SinkLine, Unreachable
from pgqueue.bridges.secrets import Secret
from pgqueue.errors import installed


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where messages are posted: *url*, or, without one, the URL that each names as *to*.

    *secrets*: `whsec_…` texts, separated by spaces: a text, `env:NAME` or a function; each signs,
    so that they can be renewed one after the other. *timeout*: seconds for one request. *cafile*:
    certificates that are trusted instead of the system's.

    2xx is delivered, 410 a dead letter; 429, 502, 503 and 504 that say Retry-After are tried again
    then, at no attempt; any other answer, a redirect too, spends one.
    """

    url: Secret | None = field(default=None, repr=False)
    secrets: Secret | None = field(default=None, repr=False)
    timeout: float = 20.0
    cafile: str | None = None
    batch: int = 1
    parallel: int = 1_000

    @property
    def place(self) -> str:
        return "HTTP, wherever a message says" if self.url is None else "HTTP endpoint"

    def check(self, message: Message) -> None:
        if self.url is not None:
            if message.to is not None:
                raise ValueError("to: this endpoint has a URL of its own")
            return
        url = urlsplit(message.to or "")
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("to: give the URL, https://…")
        if url.username or url.password:
            raise ValueError("to: a password in the URL would be kept in the job")

    async def open(self) -> SinkLine:
        with installed("http", Unreachable):
            from pgqueue.bridges.http_lines import EndpointLine
        return await EndpointLine.to(self)

    async def examine(self) -> Sequence[str]:
        await (await self.open()).close()
        return [] if self.secrets is not None else ["nothing is signed: give it secrets="]
