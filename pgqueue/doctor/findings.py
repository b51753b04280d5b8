"""Findings, and the checks that make them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from pgqueue.backends.base import Backend
from pgqueue.operations import Operation

T = TypeVar("T")
Level: TypeAlias = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True):
    """What *check* found, and what helps, if something is to be done."""

    check: str
    level: Level
    message: str
    cure: str | None = None


class Patient:
    """A store under examination, and one connection to it."""

    def __init__(self, backend: Backend, connection: Any, schema: str) -> None:
        self.backend = backend
        self.connection = connection
        self.schema = schema

    def ask(self, operation: Operation[T]) -> T:
        with self.backend.on(self.connection) as executor:
            return executor.execute(operation)


@dataclass(frozen=True, slots=True)
class Check:
    """One look at one thing.

    *file*: the statement file that it needs. *capability*: what the store must be able to do.
    *essential*: a role that may not look at this may look at nothing, so the examination ends.
    """

    name: str
    look: Callable[[Patient], Iterable[Finding]]
    file: str | None = None
    capability: str | None = None
    essential: bool = False

    def applies_to(self, capabilities: Collection[str], files: Collection[str]) -> bool:
        """Does this check apply to a store with these *capabilities* and statement *files*?"""
        able = self.capability is None or self.capability in capabilities
        return able and (self.file is None or self.file in files)


def ok(check: str, message: str) -> Finding:
    return Finding(check, "ok", message)


def warning(check: str, message: str, cure: str | None = None) -> Finding:
    return Finding(check, "warning", message, cure)


def error(check: str, message: str, cure: str | None = None) -> Finding:
    return Finding(check, "error", message, cure)
