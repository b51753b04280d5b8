"""The Reloader: says when a Python file of the application has changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pgqueue.worker.service import Service, log

LOOK_SECONDS: Final = 0.5
_NOT_OURS: Final = {"__pycache__", "node_modules", "site-packages", "dist-packages"}


class Reloader(Service):
    """Looks at the files below *folder* every half second, which needs no other package."""

    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        self._folder = folder
        self._changed = changed
        self._known = self._look()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            found = await asyncio.to_thread(self._look)
            if found != self._known:
                paths = sorted({path for path, _ in found ^ self._known})
                others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                log.info("%s%s changed: starting anew", paths[0].relative_to(self._folder), others)
                self._known = found
                self._changed()

    def _look(self) -> set[tuple[Path, int]]:
        found = set()
        for path in python_files(self._folder):
            with suppress(OSError):
                found.add((path, path.stat().st_mtime_ns))
        return found


def python_files(folder: Path) -> Iterator[Path]:
    """Every Python file below *folder*, except installed packages and hidden folders."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False) and not _is_foreign(entry):
                yield from python_files(Path(entry.path))


def _is_foreign(folder: os.DirEntry[str]) -> bool:
    hidden = folder.name.startswith(".")
    return hidden or folder.name in _NOT_OURS or Path(folder.path, "pyvenv.cfg").exists()
