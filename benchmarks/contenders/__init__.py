"""Who competes: `contenders.toml` has names and settings; each contender has an agent."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A queue to be measured, on one store.

    *agent*: the file here that speaks for it. *packages*: what it needs beside us, pinned; without
    any it runs in our own interpreter. *python*: the oldest that it runs on. *settings*: in what it
    differs from its defaults, or that it does not. *most*: how many jobs it is given at once, so
    that slow ones take their ten seconds too; *most_limited*: how many where jobs have keys with
    limits. *options*: for the agent.
    """

    name: str
    store: str
    agent: str
    settings: str
    language: str = "python"
    packages: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 11)
    most: int = 10_000_000
    most_limited: int = 10_000_000
    #: Its jobs appear one after the other, so they are enqueued before its workers start.
    piecemeal: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_peer(self) -> bool:
        return bool(self.packages)

    @property
    def version(self) -> str:
        """The pinned version of the package that it is named after."""
        return self.packages[0].rpartition("==" if self.language == "python" else "@")[2]


@cache
def contenders(store: str) -> Mapping[str, Contender]:
    """All there are for that store, by name, in the order of the file."""
    document = tomllib.loads((FOLDER / "contenders.toml").read_text())
    found = {}
    for name, entry in document[store].items():
        packages = tuple(entry.pop("packages", ()))
        python = tuple(entry.pop("python", (3, 11)))
        found[name] = Contender(name=name, store=store, packages=packages, python=python, **entry)
    return found
