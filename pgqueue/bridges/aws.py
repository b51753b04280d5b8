"""What SQS and SNS take."""

from __future__ import annotations

from typing import Final

from pgqueue.bridges.base import Message

MAX_BYTES: Final = 1_048_576
"""Of one message, and of all of one call, attributes included."""
MAX_ATTRIBUTES: Final = 8
"""AWS takes ten; two are the id and what bytes are written as."""


def check_aws(message: Message) -> None:
    """Raise ValueError for a message that neither SQS nor SNS takes."""
    if len(message.headers) + (message.type is not None) > MAX_ATTRIBUTES:
        raise ValueError(f"headers: AWS takes {MAX_ATTRIBUTES} of them, the type included")
    if any(not value for value in message.headers.values()):
        raise ValueError("headers: AWS takes no empty texts")
    if size(message) > MAX_BYTES:
        raise ValueError("larger than the 1 MiB that AWS takes; bytes count a third more")


def size(message: Message) -> int:
    """How many bytes AWS counts for *message*, at the most."""
    headers = sum(len(name) + len(value.encode()) + 10 for name, value in message.headers.items())
    body = len(message.body)
    return (body if message.is_text else -(-body // 3) * 4) + headers + 400
