"""Values that look like secrets, hidden at every depth: by their names, or by their looks."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

HIDDEN: Final = "••••••"
_NAMES: Final = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|api_?key|private_?key|authori[sz]ation|credential|cookie"
    r"|session_?id|card_?(number|no)?$|cvc|cvv|iban|ssn|pin$",
    re.IGNORECASE,
)
_LOOKS: Final = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in a URL
    r"|\b(?:Bearer|Basic)\s+[\w.+/=-]{8,}",
    re.DOTALL,
)
_NAME_IN_JSON: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:\s*')
_VALUE_IN_JSON: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{].*|[^,}\]]*', re.DOTALL)
_CUT_TOKEN: Final = re.compile(r"eyJ[\w-]{4,}[\w.-]*…?$")


def redacted(value: Any) -> Any:
    """Return *value*, anything JSON, with what looks like a secret hidden."""
    if isinstance(value, dict):
        return {redacted_text(str(name)): _called(str(name), value[name]) for name in value}
    if isinstance(value, (list, tuple)):
        return [redacted(inner) for inner in value]
    return redacted_text(value) if isinstance(value, str) else value


def redacted_text(text: str) -> str:
    """Return *text* with what looks like a secret in it hidden."""
    return _LOOKS.sub(HIDDEN, text)


def redacted_json(text: str) -> str:
    """Return *text*, the beginning of a JSON document, with what looks like a secret hidden.

    Where it is cut, so may be a secret: then more is hidden rather than less.
    """
    try:
        return msgspec.json.encode(redacted(msgspec.json.decode(text))).decode()
    except msgspec.DecodeError:
        pass
    parts, at = [], 0
    for name in _NAME_IN_JSON.finditer(text):
        value = _VALUE_IN_JSON.match(text, name.end())
        if name.start() >= at and value is not None and _NAMES.search(name[1]):
            parts += [text[at : name.end()], f'"{HIDDEN}"']
            at = value.end()
    return _CUT_TOKEN.sub(HIDDEN, redacted_text("".join([*parts, text[at:]])))


def _called(name: str, value: Any) -> Any:
    """*value* as it is shown under this *name*; arguments may be the beginning of a document."""
    if _NAMES.search(name) and value not in (None, "", True, False):
        return HIDDEN
    if name == "args" and isinstance(value, str):
        return redacted_json(value)
    return redacted(value)
