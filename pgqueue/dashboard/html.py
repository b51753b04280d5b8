"""Pages as HTML: Jinja's templates, which escape everything, and what they call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pgqueue.dashboard import drawing
from pgqueue.jobs.limits import Limits, Rate
from pgqueue.views.charts import PERIODS
from pgqueue.views.printable import printable
from pgqueue.views.text import ago, shortened, span

SHAPES: Final = {
    "blocked": "◫",
    "scheduled": "◷",
    "available": "○",
    "running": "▶",
    "retryable": "↻",
    "completed": "✓",
    "cancelled": "⊘",
    "discarded": "✕",
    "open": "▶",
    "failed": "✕",
}
"""A state is a word, a shape and a colour: no one of them alone."""

DEEPEST: Final = 20
MOST_SHOWN: Final = 1_000


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the page that *template* makes of *context*."""
    return _ENVIRONMENT.get_template(f"{template}.html").render(context)


def plain(value: Any) -> Any:
    """Return *value*, anything JSON, without characters that turn or hide the text around them."""
    if isinstance(value, dict):
        return {plain(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return printable(value, lines=True) if isinstance(value, str) else value


def state(name: str) -> Markup:
    """Return a state's mark."""
    return Markup('<span class="state {0}"><span aria-hidden="true">{1}</span> {0}</span>').format(
        name, shape(name)
    )


def moment(text: str | datetime | None) -> Markup:
    """Return an instant as people read it, with the exact one as its title."""
    if text is None:
        return Markup("")
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    exact = at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "")
    words = ago(at)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        at.isoformat(), exact, words
    )


def ticked(text: str) -> Markup:
    """Return *text* with what stands between backticks as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return Markup("{}").format(text)
    marks = (Markup("<code>{}</code>") if n % 2 else Markup("{}") for n in range(len(parts)))
    return Markup("").join(mark.format(part) for mark, part in zip(marks, parts, strict=True))


def shape(name: str) -> str:
    """Return a state's shape."""
    return SHAPES.get(name, "·")


def rate(value: Any) -> str:
    """Return a rate, a pair of numbers, as it is typed: ``100/60s``."""
    return "" if not value else str(Rate(*value))


def limits(value: Mapping[str, Any]) -> str:
    """Return what a queue allows, in words."""
    return str(msgspec.convert(value, Limits))


def local(text: str) -> str:
    """Return an instant as the clock of its own zone shows it."""
    at = datetime.fromisoformat(text)
    return f"{at:%a %Y-%m-%d %H:%M}" + (f":{at:%S}" if at.second else "")


def minute(text: str) -> str:
    """Return an instant in UTC, to the minute."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M}"


def link(root: str, path: str, **query: Any) -> str:
    """Return the address of a page: never with scheme or host."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{root}{quoted(path)}" + (f"?{urlencode(given)}" if given else "")


def quoted(path: str) -> str:
    """Return *path*, a page's and perhaps a name, as it stands in an address.

    A browser goes up for a name's `..`, also a quoted one, and others make one of several slashes:
    then the name's slashes are quoted.
    """
    page, slash, name = path[1:].partition("/")
    odd = any(part in ("", ".", "..") for part in name.split("/"))
    return f"/{page}{slash}{quote(name, safe=':@' if odd else ':@/')}"


def compact(value: Any, length: int = 120) -> str:
    """Return *value* as JSON on one line, cut."""
    return shortened(msgspec.json.encode(value).decode(), length)


def tree(value: Any, depth: int = 0) -> Markup:
    """Return *value*, anything JSON, as nested lists; large ones can be opened."""
    if isinstance(value, dict) and value and depth < DEEPEST:
        rows = Markup("").join(
            Markup("<li><span class=key>{}</span> {}</li>").format(name, tree(inner, depth + 1))
            for name, inner in list(value.items())[:MOST_SHOWN]
        )
        return _folded(rows, f"{len(value)} fields", len(value))
    if isinstance(value, list) and value and depth < DEEPEST:
        rows = Markup("").join(
            Markup("<li>{}</li>").format(tree(inner, depth + 1)) for inner in value[:MOST_SHOWN]
        )
        return _folded(rows, f"{len(value)} items", len(value))
    text = msgspec.json.encode(value).decode()
    if len(text) <= 400:
        return Markup("<code>{}</code>").format(text)
    return Markup("<details><summary>{} characters</summary><code>{}</code></details>").format(
        len(text), shortened(text, 200_000)
    )


def _folded(rows: Markup, summary: str, size: int) -> Markup:
    if size <= 12:
        return Markup("<ul class=tree>{}</ul>").format(rows)
    return Markup("<details><summary>{}</summary><ul class=tree>{}</ul></details>").format(
        summary, rows
    )


_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals |= {
    "link": link,
    "shape": shape,
    "every": drawing.every,
    "periods": {name: period.words for name, period in PERIODS.items()},
}
_ENVIRONMENT.filters |= {
    "state": state,
    "moment": moment,
    "span": span,
    "compact": compact,
    "ticked": ticked,
    "tree": tree,
    "rate": rate,
    "limits": limits,
    "clock": local,
    "minute": minute,
    "ended": drawing.ended,
    "failed": drawing.failed,
    "backlog": drawing.backlog,
    "durations": drawing.durations,
    "spark": drawing.spark,
}
