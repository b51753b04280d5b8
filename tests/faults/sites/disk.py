"""PostgreSQL on a disk so small that it can be filled: a tmpfs, which needs root."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.faults.sites.postgres import PostgresSite

SIZE = "260m"


class DiskSite(PostgresSite):
    """The server's whole folder lies on the small disk."""

    def __enter__(self) -> Self:
        self.disk = self.folder / "store-disk"
        self.disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(self.disk)]
        subprocess.run(command, check=True)
        self._journal_folder, self.folder = self.folder, self.disk
        try:
            return super().__enter__()
        except BaseException:
            self._unmount()
            raise

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)
        finally:
            self._unmount()

    def options(self) -> Mapping[str, str]:
        return {**super().options(), "max_wal_size": "48MB", "min_wal_size": "32MB"}

    @property
    def filler(self) -> Path:
        return self.disk / "filler"

    def _unmount(self) -> None:
        subprocess.run(["umount", str(self.disk)], check=True)
