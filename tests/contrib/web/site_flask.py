"""A Flask application, made by a function, with an extension that tidies up."""

from __future__ import annotations

import os
import threading
from typing import Any

from flask import Flask, current_app, g
from flask.globals import app_ctx

from pgqueue import App
from pgqueue.contrib.flask import Pgqueue

queue = App()
extension = Pgqueue(queue)
torn_down: list[tuple[int, str]] = []


def create_app() -> Flask:
    site = Flask(__name__)
    site.config.update(GREETING="hello", PGQUEUE_URL=os.environ.get("SHOP_URL"))
    extension.init_app(site)

    @site.teardown_appcontext
    def tidy(error: BaseException | None) -> None:
        torn_down.append((threading.get_ident(), repr(error)))

    return site


def _seen(name: str) -> list[Any]:
    fresh = not hasattr(g, "name")
    g.name = name
    return [f"{current_app.config['GREETING']} {name}", fresh, id(app_ctx._get_current_object())]


@queue.task
def greet(name: str) -> list[Any]:
    return [*_seen(name), threading.get_ident()]


@queue.task
async def greet_async(name: str) -> list[Any]:
    return _seen(name)


@queue.task(max_attempts=1)
def fail() -> None:
    raise ZeroDivisionError(current_app.name)


@queue.task(executor="process")
def greet_in_a_process(name: str) -> list[Any]:
    return _seen(name)
