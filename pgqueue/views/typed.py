"""What people type, on a command line or into a form: durations, rates, comparisons.

Each raises ValueError with a sentence that says what is to be written instead.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import msgspec

from pgqueue.jobs.filters import Scalar
from pgqueue.jobs.limits import Rate

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_RATE: Final = re.compile(r"(\d+)/(\d+(?:\.\d+)?)?(ms|s|m|h|d)?", re.ASCII)


def duration(text: str) -> timedelta:
    """Read a length of time: ``90d``, ``1h30m``, ``45s``."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no length of time; give 90d, 12h, 1h30m or 45s")
    try:
        return timedelta(seconds=sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text)))
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def rate(text: str) -> Rate:
    """Read a rate: ``100/60s``, ``10/s``, ``1000/1h``."""
    found = _RATE.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        raise ValueError(f"{text!r} is no rate; write 100/60s, 10/s or 1000/1h")
    length = {**_UNITS, "ms": 0.001}[found[3] or "s"]
    return Rate(int(found[1]), float(found[2] or 1) * length)


def comparison(text: str) -> tuple[str, Scalar]:
    """Read what a job's arguments are to hold: ``user.id=7``, as JSON where it is no plain text."""
    path, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"{text!r} compares nothing; give user.id=7")
    try:
        return path, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return path, value
