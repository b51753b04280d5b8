"""pgqueue with a guarantee broken on purpose: does the checker see it?

A copy of the package, laid out as in a wheel, with a patched statement file. Workers that are
started in its folder import it instead of the checkout's.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.faults.fleet import ROOT


@dataclass(frozen=True, slots=True)
class Patch:
    """*old*, which stands in the file once, becomes *new*."""

    file: str
    old: str
    new: str

    def apply(self, folder: Path) -> None:
        path = folder / self.file
        text = path.read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {text.count(self.old)} times {self.old!r}")
        path.write_text(text.replace(self.old, self.new), "utf-8")


FENCING = (
    Patch(
        "postgres/complete.sql",
        "WHERE j.id = ANY (g.ids) AND j.lease IS NOT DISTINCT FROM g.lease",
        "WHERE j.id = ANY (g.ids)",
    ),
)
EDGES = (
    Patch(
        "postgres/settle.sql",
        "SET blocked_by = j.blocked_by - locked.decided",
        "SET blocked_by = 0",
    ),
    Patch(
        "postgres/settle.sql",
        "state = CASE WHEN j.blocked_by > locked.decided THEN 'blocked'\n",
        "state = CASE WHEN false THEN 'blocked'\n",
    ),
)
RESCUE = (
    Patch("postgres/rescue.sql", "AND j.state = 'running'", "AND j.state = 'nobody''s'"),
    Patch("postgres/sweep.sql", "WHERE j.state = 'running'", "WHERE j.state = 'nobody''s'"),
)


def build(folder: Path, patches: tuple[Patch, ...]) -> Path:
    """Makes the copy below *folder*; what to give a fleet as its code."""
    code = folder / "code"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pgqueue", code / "pgqueue", ignore=ignored)
    shutil.copytree(ROOT / "sql", code / "pgqueue" / "_sql")
    shutil.copytree(ROOT / "migrations", code / "pgqueue" / "_migrations", ignore=ignored)
    for patch in patches:
        patch.apply(code / "pgqueue" / "_sql")
    return code
