"""The wall clock of a worker's machine, by a library that is preloaded."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind

HOURS = (-26, -1, 1, 26)
DAY = 86_400
VARIABLES = ("LD_PRELOAD", "FAULTS_CLOCK")
BRING_FORWARD = """
    WITH late AS (
        UPDATE pgqueue.job SET run_at = clock_timestamp()
        WHERE state IN ('scheduled', 'retryable', 'blocked')
          AND run_at > clock_timestamp() + interval '1 minute'
        RETURNING id
    )
    SELECT pgqueue.wake('@') FROM (SELECT count(*) FROM late) AS counted
"""


class ClockJumped(Kind):
    """The first worker's wall clock jumps by hours, either way, and later back."""

    name = "clock-jumped"
    robs = False
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


class ServerClockSet(Kind):
    """The server's clock is set back, or forward, and later right."""

    name = "server-clock-set"
    measure = "queue"
    robs = False
    lasts = (4.0, 9.0)
    seconds: tuple[int, ...] = (-DAY, -600, 600, DAY)

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("cc") else "a C compiler"

    def strike(self) -> frozenset[str]:
        _set(self.site.clock_folder, self.scene.random.choice(self.seconds))
        return EVERYBODY

    def heal(self) -> None:
        """Work postponed for a moment while the clock was ahead is now due in a day: nobody can
        know what was meant, so an operator brings it forward."""
        _set(self.site.clock_folder, 0)
        if max(self.seconds) > 0:
            time.sleep(1.5)  # until transactions that have read the clock have committed
            with self.scene.still(), self.site.admin() as admin:
                admin.execute(BRING_FORWARD)


class ServerClockSetBack(ServerClockSet):
    """Where nobody can bring postponed work forward: once set right, the clock jumps forward; by
    less than the retention of finished jobs, or they would be gone."""

    name = "server-clock-set-back"
    seconds = (-DAY // 4, -600)


class SignsOfLifeMoved(Kind):
    """As a clock that was set leaves them behind: heartbeats in the past, or in the future."""

    name = "signs-of-life-moved"
    measure = "queue"
    robs = False
    lasts = (1.0, 3.0)

    def strike(self) -> frozenset[str]:
        self.site.move_signs_of_life(self.scene.random.choice(ServerClockSet.seconds))
        return EVERYBODY


def environment(folder: Path) -> dict[str, str]:
    """What a worker is started with, so that its clock can jump."""
    library = folder / "clock.so"
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    _set(folder, 0)
    return {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(_file(folder))}


def _set(folder: Path, seconds: int) -> None:
    """In place: readers have the file mapped into memory."""
    path = _file(folder)
    path.touch()
    with path.open("r+b") as file:
        file.write(seconds.to_bytes(8, "little", signed=True))


def _file(folder: Path) -> Path:
    return folder / "clock"
