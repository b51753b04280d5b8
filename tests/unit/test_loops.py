"""What belongs to an event loop ends with it, however the loop ends."""

from __future__ import annotations

import asyncio

from pgqueue.backends.loops import PerLoop


class Things(PerLoop[str]):
    """Names, and what has become of each."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.gone: list[str] = []
        super().__init__(self._close, self.gone.append)

    async def _close(self, thing: str) -> None:
        await asyncio.sleep(0)
        self.closed.append(thing)


async def use(things: Things, name: str) -> None:
    assert things.get() is None
    things.put(name)
    await asyncio.sleep(0)
    assert things.get() == name


def test_each_loop_has_its_own_which_closes_at_its_end() -> None:
    things = Things()
    for name in "ab":
        asyncio.run(use(things, name))

    assert (things.closed, things.gone, things._things) == (["a", "b"], [], {})


def test_what_a_loop_has_left_behind_goes_with_the_next() -> None:
    things = Things()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(things, "a"))
    loop.close()
    assert things.gone == []

    asyncio.run(use(things, "b"))

    assert (things.closed, things.gone, things._things) == (["b"], ["a"], {})


async def test_what_was_closed_is_made_anew() -> None:
    things = Things()
    things.put("a")
    await things.close()
    await things.close()
    assert things.closed == ["a"]

    await use(things, "b")
    await things.close()

    assert things.closed == ["a", "b"]
