"""Installs what a third party writes as its users would: a wheel with an entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

_BACKEND = Path(__file__).with_name("backend.py")


def install(folder: Path) -> Path:
    """The folder, inside *folder*, where the toy store is installed."""
    return install_module(
        folder, "toystore", _BACKEND, "[pgqueue.backends]\ntoy = toystore:ToyBackend\n"
    )


def install_module(folder: Path, name: str, module: Path, entry_points: str) -> Path:
    """The folder, inside *folder*, where a distribution *name* is installed that is one *module*
    of this name, and has these *entry_points*."""
    info = f"{name}-1.dist-info"
    files = {
        f"{name}.py": module.read_text("utf-8"),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        f"{info}/entry_points.txt": entry_points,
    }
    wheel, target = folder / f"{name}-1-py3-none-any.whl", folder / "site"
    with ZipFile(wheel, "w") as file:
        for path, text in files.items():
            file.writestr(path, text)
        record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
        file.writestr(f"{info}/RECORD", record)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target
