"""What a store may be unable to do: few, and each by name.

Asking for one that is missing is an error, never a silent difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from pgqueue.errors import MissingCapability


@dataclass(frozen=True, slots=True)
class Capability:
    """Something that a store can or cannot do.

    *means*: what a store that has it does; *lacking*: why others do not, and what they do instead.
    """

    name: str
    means: str
    lacking: str
    found_in: tuple[str, ...]


_ALL: Final = (
    Capability(
        "transactions",
        "Jobs are part of the transaction that writes the application's own data.",
        "Redis holds no application data that could be rolled back with them; what a pipeline "
        "queues is carried out together.",
        ("PostgreSQL", "SQLite"),
    ),
    Capability(
        "concurrency",
        "While a transaction is open, others work beside it, unless they want the same jobs.",
        "SQLite has one writer at a time: whoever leaves a transaction open holds up all others.",
        ("PostgreSQL",),
    ),
    Capability(
        "processes",
        "Several processes work on one store.",
        "What is in memory, sqlite:///:memory:, belongs to one process.",
        ("PostgreSQL", "SQLite in a file", "Redis"),
    ),
    Capability(
        "push",
        "Who sleeps is woken by a message, without looking again and again.",
        "SQLite cannot send one: a sleeper asks every few milliseconds whether the file has "
        "changed, which costs microseconds.",
        ("PostgreSQL", "Redis"),
    ),
    Capability(
        "sessions",
        "A worker's death shows at once, however it died, and its jobs run elsewhere in seconds.",
        "Where nothing ties a worker's life to the store, its death shows by missing heartbeats, "
        "after a minute.",
        ("PostgreSQL", "SQLite", "Redis"),
    ),
    Capability(
        "partitions",
        "Retention drops whole tables.",
        "Stores without partitions delete single rows, or let them expire.",
        ("PostgreSQL",),
    ),
    Capability(
        "roles",
        "Each part of an application is given the rights it needs, and no others.",
        "Who can open a file or a Redis can do everything in it: its own means have to guard it.",
        ("PostgreSQL",),
    ),
    Capability(
        "limits",
        "Queues have limits that hold for all workers together, and serve their keys in turn.",
        "A store that cannot count what runs in the moment in which it hands out more would exceed "
        "them.",
        ("PostgreSQL", "SQLite", "Redis"),
    ),
    Capability(
        "whereabouts",
        "A worker notices that its store is a copy, or another environment's, and leaves it alone.",
        "A store that keeps no note of where it is, and whose, works wherever it is put.",
        ("PostgreSQL", "SQLite", "Redis"),
    ),
)
CAPABILITIES: Final[Mapping[str, Capability]] = {capability.name: capability for capability in _ALL}


class Capable(Protocol):
    """The part of a backend that names its capabilities."""

    @property
    def store(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[str]: ...


def require(backend: Capable, name: str) -> None:
    """Raise MissingCapability, which names a store that has it, when *backend* has no *name*."""
    if name not in backend.capabilities:
        capability = CAPABILITIES[name]
        raise MissingCapability(
            f"{backend.store} has no {name}: {capability.lacking} "
            f"{' and '.join(capability.found_in)} can: {capability.means}"
        )
