"""The clock of a worker's machine."""

from __future__ import annotations

from pathlib import Path

from tests.faults.kinds import Kind

_LIBRARY = "faketime/libfaketimeMT.so.1"


def library() -> Path | None:
    """Debian's libfaketime, when it is installed."""
    return next(Path("/usr/lib").glob(f"*/{_LIBRARY}"), None)


class ClockJumped(Kind):
    """The first worker's wall clock jumps by hours, either way, and later back."""

    name = "clock-jumped"
    measure = "workers"
    lasts = (2.0, 5.0)

    @classmethod
    def missing(cls) -> str | None:
        return None if library() else "libfaketime (Debian's package of that name)"

    def strike(self) -> frozenset[str]:
        hours = self.scene.random.choice([-26, -1, 1, 26])
        self._set(f"{hours:+d}h")
        worker = self.scene.fleet.processes["w1"]
        return frozenset({worker.name})

    def heal(self) -> None:
        self._set("+0")

    def _set(self, offset: str) -> None:
        clock(self.scene.fleet.folder).write_text(offset)


def clock(folder: Path) -> Path:
    """The file that says how far the first worker's clock is off."""
    return folder / "clock"


def environment(folder: Path) -> dict[str, str]:
    """What a worker is started with, so that its clock can jump. Only the wall clock does."""
    clock(folder).write_text("+0")
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(clock(folder)),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
