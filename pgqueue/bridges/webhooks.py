"""Standard Webhooks: how a message is signed, and how one that comes in is verified."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from typing import Final

TOLERANCE_SECONDS: Final = 300.0


def keys(text: str) -> list[bytes]:
    """The keys in *text*, secrets separated by spaces; raises ValueError."""
    return [
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        if secret.startswith("whsec_")
        else secret.encode()
        for secret in text.split()
    ]


def signature(keys: Iterable[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`: one signature for each of *keys*."""
    signed = b"%s.%d.%s" % (id.encode(), timestamp, body)
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys
    )


def verified(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str,
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> str:
    """Return the id of a webhook that was received, to be enqueued once; for your web framework.

    *headers* by names in lower case, or a mapping that does not mind. Raises ValueError if no key
    of *secrets* has signed this, or it is older, or newer, than *tolerance* in seconds.
    """
    id = headers.get("webhook-id", "")
    stamp, given = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "")
    if not id or not stamp.isascii() or not stamp.isdigit():
        raise ValueError("this is no webhook: webhook-id or webhook-timestamp is missing")
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance:
        raise ValueError("the webhook is too old, or from the future")
    for expected in signature(keys(secrets), id, int(stamp), body).split():
        if any(hmac.compare_digest(expected.encode(), each.encode()) for each in given.split()):
            return id
    raise ValueError("the webhook's signature is not ours")
