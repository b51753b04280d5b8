"""A Quart application, made by a function, with an extension that tidies up."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from quart import Quart, current_app, g

from pgqueue import App
from pgqueue.contrib.quart import Pgqueue

queue = App()
extension = Pgqueue(queue)
torn_down: list[tuple[int, str]] = []


def create_app() -> Quart:
    site = Quart(__name__)
    site.config.update(GREETING="hello", PGQUEUE_URL=os.environ.get("SHOP_URL"))
    extension.init_app(site)

    @site.teardown_appcontext
    async def tidy(error: BaseException | None) -> None:
        await asyncio.sleep(0)
        torn_down.append((0, repr(error)))

    return site


def _seen(name: str) -> list[Any]:
    fresh = not hasattr(g, "name")
    g.name = name
    return [f"{current_app.config['GREETING']} {name}", fresh]


@queue.task
def greet(name: str) -> list[Any]:
    return _seen(name)


@queue.task
async def greet_async(name: str) -> list[Any]:
    await asyncio.sleep(0)
    return _seen(name)


@queue.task(max_attempts=1)
def fail() -> None:
    raise ZeroDivisionError(current_app.name)


@queue.task(executor="process")
def greet_in_a_process(name: str) -> list[Any]:
    return _seen(name)
