"""The disk that the store lies on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind
from tests.faults.kinds.server import ServerFault

LASTS = (4.0, 8.0)


class DiskFull(ServerFault):
    """No space left: statements fail, and the server may crash and not come up again."""

    name = "disk-full"
    lasts = LASTS

    def strike(self) -> frozenset[str]:
        fill(self.site.filler)
        return EVERYBODY

    def heal(self) -> None:
        self.site.filler.unlink(missing_ok=True)
        super().heal()
        self.site.await_answer()


class FileDiskFull(Kind):
    """No space left beside a database file: statements fail, nobody ends."""

    name = "disk-full"
    measure = "queue"
    robs = False
    lasts = LASTS

    def strike(self) -> frozenset[str]:
        fill(self.site.filler)
        return EVERYBODY

    def heal(self) -> None:
        self.site.filler.unlink(missing_ok=True)


def fill(path: Path) -> None:
    """To the last byte."""
    for size in (64 * 1024, 1):
        chunk = bytes(size)
        with suppress(OSError), path.open("ab", buffering=0) as file:
            while file.write(chunk) == size:
                pass
