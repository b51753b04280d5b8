"""Peers in environments of their own: made when they are first needed, kept, pinned."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.contenders import FOLDER, Contender

ROOT = FOLDER.parent.parent
INSTALL_SECONDS = 600.0


class NotInstalled(Exception):
    """A peer that cannot be had on this machine, and why."""


class Environments:
    """Where the peers' interpreters and packages are."""

    def __init__(self, folder: Path | None, say: Callable[[str], None]) -> None:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._folder = folder or Path(cache) / "pgqueue" / "benchmarks"
        self._say = say
        self._refusals: dict[str, str] = {}

    def command(self, contender: Contender) -> tuple[list[str], dict[str, str]]:
        """What starts its agent, and the environment for it; installs what is missing.

        Raises NotInstalled.
        """
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        if contender.language == "node":
            modules = self._installed(contender, _install_node) / "node_modules"
            script = str(FOLDER / f"{contender.agent}.cjs")
            return [_found("node"), script], environment | {"NODE_PATH": str(modules)}
        python = sys.executable
        if contender.is_peer:
            python = str(self._installed(contender, _install_python) / "bin" / "python")
        return [python, "-m", f"benchmarks.contenders.{contender.agent}"], environment

    def _installed(self, contender: Contender, install: Callable[[Contender, Path], None]) -> Path:
        digest = hashlib.sha256(json.dumps(contender.packages).encode()).hexdigest()[:8]
        name = re.sub(r"[^\w.]+", "-", contender.packages[0])  # a peer takes [ for a pattern
        home = self._folder / f"{name}-{digest}"
        if (home / "complete").exists():
            return home
        if contender.name not in self._refusals:
            self._say(f"installing {', '.join(contender.packages)}")
            shutil.rmtree(home, ignore_errors=True)
            try:
                home.mkdir(parents=True)
                install(contender, home)
            except (NotInstalled, OSError) as problem:
                self._refusals[contender.name] = str(problem)
            except subprocess.TimeoutExpired:
                self._refusals[contender.name] = f"not installed in {INSTALL_SECONDS:.0f} s"
            else:
                (home / "complete").touch()
                return home
        raise NotInstalled(self._refusals[contender.name])


def _install_python(contender: Contender, home: Path) -> None:
    _run([_interpreter(contender.python), "-m", "venv", str(home)])
    _run([str(home / "bin" / "pip"), "install", "-q", *contender.packages])


def _install_node(contender: Contender, home: Path) -> None:
    (home / "package.json").write_text('{"private": true}')
    command = [_found("npm"), "install", "--no-audit", "--no-fund", "--save-exact"]
    _run([*command, *contender.packages], cwd=home)


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in lines if "error" in line.lower()]
        raise NotInstalled((errors or lines or ["no reason given"])[-1][:300])


def _interpreter(oldest: tuple[int, int]) -> str:
    """Our own interpreter if it is new enough, else the newest of PATH or pyenv that is."""
    if sys.version_info[:2] >= oldest:
        return sys.executable
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(19, oldest[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        for candidate in (found, *versions.glob(f"3.{minor}.*/bin/python")):
            if candidate and _runs(str(candidate)):
                return str(candidate)
    raise NotInstalled(f"needs Python {oldest[0]}.{oldest[1]} or later")


def _runs(python: str) -> bool:
    """Whether it is a real interpreter, and not a stand-in for a missing one."""
    return not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise NotInstalled(f"needs {program}, which is not on PATH")
    return path
