"""Rules that every one of many files keeps: one test a rule, which names all that break it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

T = TypeVar("T")
Rule = Callable[[T], None]


def of_each(things: Collection[T], name: Callable[[T], str] = str) -> Callable[[Rule[T]], Rule[T]]:
    """Make a rule about one thing a test of all *things*.

    A test for each of hundreds of files would take longer than looking at them does.
    """
    assert things

    def decorate(rule: Rule[T]) -> Rule[T]:
        def test() -> None:
            broken = {}
            for thing in things:
                try:
                    rule(thing)
                except AssertionError as error:
                    broken[name(thing)] = str(error)
            assert not broken, "\n".join(f"{which}: {why}" for which, why in broken.items())

        test.__name__, test.__doc__, test.__module__ = rule.__name__, rule.__doc__, rule.__module__
        return test  # type: ignore[return-value]

    return decorate
