"""The server's disk."""

from __future__ import annotations

from contextlib import suppress

from tests.faults.facts import EVERYBODY
from tests.faults.kinds.server import ServerFault


class DiskFull(ServerFault):
    """No space left: statements fail, and the server may crash and not come up again."""

    name = "disk-full"
    lasts = (4.0, 8.0)

    def strike(self) -> frozenset[str]:
        chunk = bytes(64 * 1024)
        with suppress(OSError), self.site.filler.open("wb", buffering=0) as file:
            while file.write(chunk) == len(chunk):
                pass
        return EVERYBODY

    def heal(self) -> None:
        self.site.filler.unlink(missing_ok=True)
        super().heal()
        self.site.await_answer()
