"""What all pages share: a view is a generator that yields operations and returns a page.

So a page's cost is the list of what it yields, and one body serves asyncio, blocking code and
tests. Nothing here knows HTTP or HTML.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from pgqueue.dashboard.forms import Form
from pgqueue.operations import Plan

PAGE_JOBS: Final = 50
View: TypeAlias = Plan[Any]
"""A plan that only reads, and returns one of the page structs."""


class Page(msgspec.Struct):
    """What a page shows, as a value that HTML and JSON are made from."""


class NoSuchPage(Exception):
    """What the page would be about is not there, or not for this viewer."""


def begins_before(query: Form) -> int | None:
    """Return the id that all in a page of a list are below, None for the first page.

    Raises NoSuchPage.
    """
    try:
        return query.integer("before")
    except ValueError as error:
        raise NoSuchPage(str(error)) from None
