"""Secrets: read when a line is opened, never kept, and taken out of what others' errors say."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final, TypeAlias

from pgqueue.bridges.base import Unreachable

Secret: TypeAlias = str | Callable[[], str]
"""The text itself, `env:NAME` for the environment variable of that name, or a function."""

_WITH_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")
_TOKEN: Final = re.compile(r"(token[\"']?\s*[:=]\s*)[^\s&<>]+", re.IGNORECASE)


def reveal(secret: Secret, what: str) -> str:
    """Return the text that *secret* means; raises Unreachable, naming *what*, if there is none."""
    if callable(secret):
        try:
            return secret()
        except Exception as error:
            # Its text is not repeated: it is by whoever keeps the secrets, and may hold one.
            raised = type(error).__name__
            raise Unreachable(f"{what}: the function that gives it raised {raised}") from None
    name = secret.removeprefix("env:")
    if name is secret or name == secret:
        return secret
    try:
        return os.environ[name]
    except KeyError:
        raise Unreachable(f"{what}: the environment variable {name} is not set") from None


def said(error: BaseException, *secrets: str | None) -> str:
    """What *error* says in at most 300 characters: its class, and its text without *secrets* and
    without users in URLs."""
    text = hidden(" ".join(str(error).split()), *secrets)
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


def hidden(text: str, *secrets: str | None) -> str:
    """*text*, which another has written, without *secrets*, users in URLs, and tokens."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _TOKEN.sub(r"\1***", _WITH_USER.sub("", text))
