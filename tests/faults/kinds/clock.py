"""The wall clock of a worker's machine, by a library that is preloaded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.faults.kinds import Kind

HOURS = (-26, -1, 1, 26)


class ClockJumped(Kind):
    """The first worker's wall clock jumps by hours, either way, and later back."""

    name = "clock-jumped"
    measure = "workers"
    lasts = (2.0, 5.0)

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("cc") else "a C compiler"

    def strike(self) -> frozenset[str]:
        _set(self.scene.fleet.folder, 3600 * self.scene.random.choice(HOURS))
        return frozenset({self.scene.fleet.processes["w1"].name})

    def heal(self) -> None:
        _set(self.scene.fleet.folder, 0)


def environment(folder: Path) -> dict[str, str]:
    """What a worker is started with, so that its clock can jump."""
    library = folder / "clock.so"
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    _set(folder, 0)
    return {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(_file(folder))}


def _set(folder: Path, seconds: int) -> None:
    """In place: whoever looks has the file in memory."""
    path = _file(folder)
    path.touch()
    with path.open("r+b") as file:
        file.write(seconds.to_bytes(8, "little", signed=True))


def _file(folder: Path) -> Path:
    return folder / "clock"
