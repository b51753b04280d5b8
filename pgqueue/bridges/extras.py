"""Adapters' libraries, which come with extras, and are imported when a line is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pgqueue.bridges.base import Unreachable


@contextmanager
def installed(extra: str) -> Iterator[None]:
    """Turn an import that fails inside into an Unreachable that names the cure."""
    try:
        yield
    except ImportError as error:
        raise Unreachable(f"pip install 'pgqueue[{extra}]': {error}") from None
