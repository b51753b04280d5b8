"""The unit and worker suites on every Python found here: ``python -m tests.interpreters [3.12 …]``.

Interpreters are those on the path, pyenv's and uv's; free-threaded ones too, as 3.14t. Each has an
environment in the cache folder. ``--short`` plays a part, on the newest of them that is not this
one: CI's. ``--sqlalchemy 2.0`` plays the kinds of connections instead, on
that release of SQLAlchemy and this interpreter.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pgqueue.embedded.binaries import cache_dir

ROOT = Path(__file__).parents[1]
VERSIONS = ["3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t"]
SUITES = ["tests/unit", "tests/worker", "tests/connections", "-k", "not packaging"]
SHORT = ["tests/unit", "tests/worker/test_failures.py", "-k", "not packaging"]
ASKING = "import ensurepip, sys, sysconfig; print('%d.%d' % sys.version_info[:2]" + (
    " + ('t' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''))"
)


def main() -> int:
    """Run the suites on each interpreter asked for; the exit code says whether all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sqlalchemy", metavar="VERSION", help="2.0, say")
    parser.add_argument("--short", action="store_true", help="a part, on the newest")
    parser.add_argument("versions", nargs="*", help=", ".join(VERSIONS))
    arguments = parser.parse_args()
    if arguments.sqlalchemy:
        return on_sqlalchemy(arguments.sqlalchemy)
    suites = SHORT if arguments.short else SUITES
    versions = arguments.versions or ([newest()] if arguments.short else VERSIONS)
    results = {}
    for version in versions:
        if (python := interpreter(version)) is None:
            results[version] = "not here"
            continue
        print(f"== Python {version}: {python}", flush=True)
        command = [environment(python), "-m", "pytest", "-q", "-n", "2", *suites]
        done = subprocess.run(command, cwd=ROOT, check=False)
        results[version] = "failed" if done.returncode else "passed"
    print(", ".join(f"{version} {result}" for version, result in results.items()))
    return 1 if "failed" in results.values() else 0


def newest() -> str:
    """The newest version found here that has the lock of old, and is not the one that asks."""
    this = f"{sys.version_info[0]}.{sys.version_info[1]}"
    others = [each for each in VERSIONS if not each.endswith("t") and each != this]
    return next((each for each in reversed(others) if interpreter(each)), others[-1])


def on_sqlalchemy(version: str) -> int:
    """Play the kinds of connections on that release, put in front of the installed one."""
    target = cache_dir() / "sqlalchemy" / version
    if not target.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
        subprocess.run([*pip, f"sqlalchemy=={version}.*"], check=True)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "tests/connections"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=False,
    ).returncode


def interpreter(version: str) -> Path | None:
    """A Python of that *version* that can make environments (not all of Debian's can), if any."""
    found = [Path(path)] if (path := shutil.which(f"python{version}")) else []
    for folder in (".pyenv/versions", ".local/share/uv/python"):
        for name in (f"{version}*", f"cpython-{version}*"):
            found += sorted(Path.home().glob(f"{folder}/{name}/bin/python"), reverse=True)
    for python in found:
        asked = subprocess.run([python, "-c", ASKING], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == version:
            return python
    return None


def environment(python: Path) -> Path:
    """An environment of that interpreter's with all that tests need; made once for each change."""
    wanted = f"{python} {(ROOT / 'pyproject.toml').read_text('utf-8')}"
    folder = cache_dir() / "python" / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    if not (folder / "made").exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip"]
        subprocess.run([*pip, "install", "-q", "-e", f"{ROOT}[test]"], check=True)
        (folder / "made").touch()
    return folder / "bin" / "python"


if __name__ == "__main__":
    sys.exit(main())
