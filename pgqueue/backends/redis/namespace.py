"""A namespace of keys, and how a script is run on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis
import redis.asyncio
from redis.client import NEVER_DECODE

from pgqueue.backends.plans import cancellable
from pgqueue.statements.files import in_schema
from pgqueue.statements.lua import Script

_RAW: Mapping[str, Any] = {NEVER_DECODE: True}  # even if the application's client decodes


class Namespace:
    """The hash tag of a queue's keys, and the prefix of its channels.

    Redis's channels are common to all its databases, so the prefix has the database's number.
    """

    def __init__(self, schema: str, db: int) -> None:
        in_schema("", schema)
        self.tag = f"{{{schema}}}"
        self.channel = f"{self.tag}@{db}:"

    def command(self, script: Script, wanted: bytes, *more: str) -> tuple[Any, ...]:
        """Return the command that runs *script* by its hash, with *wanted*, its parameters."""
        return ("EVALSHA", script.sha, 1, self.tag, wanted, self.channel, *more)

    def call(self, client: redis.Redis, script: Script, wanted: bytes) -> bytes:
        """Run *script*, and load it where the server does not know it yet."""
        name, sha, *rest = self.command(script, wanted)
        try:
            answer: bytes = client.execute_command(name, sha, *rest, **_RAW)
        except redis.exceptions.NoScriptError:
            answer = client.execute_command("EVAL", script.text, *rest, **_RAW)
        return answer

    async def call_async(self, client: redis.asyncio.Redis, script: Script, wanted: bytes) -> bytes:
        """As `call`, without blocking the event loop."""
        name, sha, *rest = self.command(script, wanted)
        with cancellable():  # before Python 3.12 redis-py's time-outs can swallow a cancellation
            try:
                answer: bytes = await client.execute_command(name, sha, *rest, **_RAW)
            except redis.exceptions.NoScriptError:
                answer = await client.execute_command("EVAL", script.text, *rest, **_RAW)
        return answer
