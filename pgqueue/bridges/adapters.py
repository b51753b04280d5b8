"""Adapters that other distributions bring, found by the scheme of a URL.

    [project.entry-points."pgqueue.bridges"]
    folder = "pgqueue_folder"

    app.outlet("orders", "folder:///var/spool/orders")

The entry point leads to a module, or any object, with `sink(url)`, `source(url)`, or both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

from pgqueue.bridges.base import Sink, Source
from pgqueue.bridges.secrets import said
from pgqueue.errors import InvalidTask

GROUP: Final = "pgqueue.bridges"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_OURS: Final = {
    "amqp": "amqp.Exchange, amqp.Queue",
    "amqps": "amqp.Exchange, amqp.Queue",
    "env": "that of an adapter, which reads env:NAME itself",
    "http": "http.Endpoint",
    "https": "http.Endpoint",
}


def sink(name: str, given: Sink | str) -> Sink:
    """Return *given*, or what its adapter makes of a URL for the outlet *name*; raises
    InvalidTask."""
    made: Sink = _made(name, given, "sink") if isinstance(given, str) else given
    return made


def source(name: str, given: Source | str) -> Source:
    """Return *given*, or what its adapter makes of a URL for the inlet *name*; raises
    InvalidTask."""
    made: Source = _made(name, given, "source") if isinstance(given, str) else given
    return made


def _made(name: str, url: str, kind: Literal["sink", "source"]) -> Any:
    # The rest of the URL may hold a password: no message repeats it.
    scheme = found[1].lower() if (found := _SCHEME.match(url)) else ""
    if scheme in _OURS:
        raise InvalidTask(f"{name}: for {scheme}: give {_OURS[scheme]} of pgqueue.bridges")
    from importlib.metadata import entry_points  # slow, and few applications need it

    for entry in entry_points(group=GROUP, name=scheme):
        try:
            make: Callable[[str], Any] | None = getattr(entry.load(), kind, None)
            if make is not None:
                return make(url)
        except Exception as error:
            raise InvalidTask(
                f"{name}: the adapter for {scheme}:, {entry.value}: {said(error, url)}"
            ) from None
        raise InvalidTask(f"{name}: the adapter for {scheme}:, {entry.value}, has no {kind}")
    known = sorted({entry.name for entry in entry_points(group=GROUP)})
    installed = f"installed are {', '.join(known)}" if known else "none is installed"
    raise InvalidTask(
        f"{name}: no adapter for {scheme or 'a URL without a scheme'}; {installed}: "
        f"a package brings one by an entry point of the group {GROUP}"
    )
