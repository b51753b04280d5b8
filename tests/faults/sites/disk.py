"""Stores on a disk so small that it can be filled: a tmpfs, which needs root."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.faults.sites.postgres import PostgresSite
from tests.faults.sites.sqlite import SqliteSite

SIZE = "260m"
FILE_SIZE = "24m"


class DiskSite(PostgresSite):
    """The server's whole folder lies on the small disk."""

    def __enter__(self) -> Self:
        self.disk = mount(self.folder, SIZE)
        self._journal_folder, self.folder = self.folder, self.disk
        try:
            return super().__enter__()
        except BaseException:
            unmount(self.disk)
            raise

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)
        finally:
            unmount(self.disk)

    def options(self) -> Mapping[str, str]:
        return {**super().options(), "max_wal_size": "48MB", "min_wal_size": "32MB"}

    @property
    def filler(self) -> Path:
        return self.disk / "filler"


class FileDiskSite(SqliteSite):
    """The file, and what SQLite keeps beside it, lie on the small disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def __enter__(self) -> Self:
        self.disk = mount(self._folder, FILE_SIZE)
        self.place(self.disk)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        unmount(self.disk)

    @property
    def filler(self) -> Path:
        return self.disk / "filler"


def mount(folder: Path, size: str) -> Path:
    """Makes a small disk below *folder*."""
    disk = folder / "store-disk"
    disk.mkdir()
    options = f"size={size},mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    return disk


def unmount(disk: Path) -> None:
    """Works also while somebody has a file open on it; the disk goes with the last file."""
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
