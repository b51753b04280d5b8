"""Installs the toy as its author's users would: a wheel with an entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

_BACKEND = Path(__file__).with_name("backend.py")
_FILES = {
    "toystore.py": _BACKEND.read_text("utf-8"),
    "toystore-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: toystore\nVersion: 1\n",
    "toystore-1.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "toystore-1.dist-info/entry_points.txt": "[pgqueue.backends]\ntoy = toystore:ToyBackend\n",
}


def install(folder: Path) -> Path:
    """The folder, inside *folder*, where the distribution is installed."""
    wheel, target = folder / "toystore-1-py3-none-any.whl", folder / "site"
    with ZipFile(wheel, "w") as file:
        for name, text in _FILES.items():
            file.writestr(name, text)
        record = "".join(f"{name},,\n" for name in (*_FILES, "toystore-1.dist-info/RECORD"))
        file.writestr("toystore-1.dist-info/RECORD", record)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target
