"""Foreign text on somebody's terminal: what others have written commands nothing there.

Task names, keys, notes, metadata, error messages and what servers say may hold an escape sequence,
a carriage return or a mark that turns the line around. All that is printed, and all that is
logged, goes through here: such a character is shown by its number. Of JSON, it is the notation
of JSON itself.
"""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 controls, DEL, line separators, marks that change the direction, halves of pairs.
_FORMS: Final = "\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL: Final = re.compile(f"[{_FORMS}]")
_CONTROL_BUT_LINES: Final = re.compile(f"(?![\n\t])[{_FORMS}]")
_NAMES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, *, lines: bool = False) -> str:
    """*text* without a character that a terminal obeys. With *lines*, it may have several."""
    if lines:
        return _CONTROL_BUT_LINES.sub(_shown, text.replace("\r\n", "\n"))
    return _CONTROL.sub(_shown, text)


def printable_json(text: str) -> str:
    """The same document as *text*, in characters that a terminal does not obey."""
    return _CONTROL_BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return _NAMES.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
