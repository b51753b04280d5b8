"""Stores whose server has a clock that can be set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from tests.faults.kinds import clock
from tests.faults.sites.postgres import PostgresSite
from tests.faults.sites.valkey import ValkeySite


class _ServerClock:
    """The server is started with the library that sets clocks, the workers without."""

    true_clock = False
    clock_folder: Path

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)  # type: ignore[call-arg]
        self.clock_folder = folder

    def __enter__(self) -> Self:
        os.environ.update(clock.environment(self.clock_folder))
        return super().__enter__()  # type: ignore[misc,no-any-return]

    def __exit__(self, *error: object) -> None:
        for name in clock.VARIABLES:
            os.environ.pop(name, None)
        super().__exit__(*error)  # type: ignore[misc]

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        theirs: dict[str, Any] = super().environment(slot, incarnation)  # type: ignore[misc]
        return {**theirs, **dict.fromkeys(clock.VARIABLES, "")}


class PostgresClockSite(_ServerClock, PostgresSite):
    """All instants in the database are the server's."""


class ValkeyClockSite(_ServerClock, ValkeySite):
    """All instants are those that the server's TIME says."""
