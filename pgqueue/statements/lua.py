"""Lua scripts as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """One operation's file in Lua, with the files that it uses in front.

    *settles*: it may end jobs with more descendants than one run reaches; `parts/proceed` goes on.
    """

    name: str
    text: str
    sha: str
    settles: bool
