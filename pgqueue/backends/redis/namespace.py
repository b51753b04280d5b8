"""Where the keys are, and how a script is run there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis
import redis.asyncio
from redis.client import NEVER_DECODE

from pgqueue.backends.base import cancellable
from pgqueue.statements import Script, in_schema

_RAW: Mapping[str, Any] = {NEVER_DECODE: True}  # also where the application decodes its own


class Namespace:
    """Where one queue's keys are: their hash tag, and the channels that go with them.

    Channels know no databases, so they bear their number.
    """

    def __init__(self, schema: str, db: int) -> None:
        in_schema("", schema)
        self.tag = f"{{{schema}}}"
        self.channel = f"{self.tag}@{db}:"

    def command(self, script: Script, wanted: bytes, *more: str) -> tuple[Any, ...]:
        """How *script* is called by its hash."""
        return ("EVALSHA", script.sha, 1, self.tag, wanted, self.channel, *more)

    def call(self, client: redis.Redis, script: Script, wanted: bytes) -> bytes:
        """Runs *script*; loads it where it is not known yet."""
        name, sha, *rest = self.command(script, wanted)
        try:
            answer: bytes = client.execute_command(name, sha, *rest, **_RAW)
        except redis.exceptions.NoScriptError:
            answer = client.execute_command("EVAL", script.text, *rest, **_RAW)
        return answer

    async def call_async(self, client: redis.asyncio.Redis, script: Script, wanted: bytes) -> bytes:
        """As `call`, without blocking the event loop."""
        name, sha, *rest = self.command(script, wanted)
        with cancellable():  # before Python 3.12, redis-py's time limits are not
            try:
                answer: bytes = await client.execute_command(name, sha, *rest, **_RAW)
            except redis.exceptions.NoScriptError:
                answer = await client.execute_command("EVAL", script.text, *rest, **_RAW)
        return answer
