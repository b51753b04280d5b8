"""The `App` of a Django project: its store is one of Django's databases, its tasks Django's too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from pgqueue.app import App
from pgqueue.contrib.django import configured
from pgqueue.contrib.django.care import care
from pgqueue.contrib.django.database import url_of
from pgqueue.errors import UnknownTask
from pgqueue.tasks.task import Task

_KEPT: Final = ("listen_url", "retention", "max_rescues", "pool_size", "environment")


class DjangoApp(App):
    """The tasks of a project, and those of Django's that it enqueues, in the database *database*.

    Tasks declared by `@app.task` are its own; Django's are found by their import path.
    """

    def __init__(self, database: str, schema: str, **options: Any) -> None:
        super().__init__(schema=schema, **options)
        self.database: Final = database
        self.around(care)
        self._found = _Found(self._tasks, self._imported)

    @property
    def url(self) -> str:
        """Where the jobs live: the database's, as Django's settings have it now."""
        return self._given_url() or url_of(self.database)

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks by name: those that were declared, and any of Django's, by its import path."""
        return self._found

    def find(self, name: str) -> Task[..., Any]:
        """Return the task *name*; raises UnknownTask."""
        task = self._found.get(name)
        if task is None:
            raise UnknownTask(
                f"{name}: no task of this name; declare it in a module that can be imported"
            )
        return task

    def _imported(self, path: str) -> Task[..., Any] | None:
        if "." not in path:
            return None
        from pgqueue.contrib.django.attempts import imported

        return imported(self, path)


class _Found(Mapping[str, Task[..., Any]]):
    """Tasks by name; *find* is asked for one that is not *declared*, and what it finds is kept."""

    def __init__(
        self,
        declared: dict[str, Task[..., Any]],
        find: Callable[[str], Task[..., Any] | None],
    ) -> None:
        self._declared = declared
        self._find = find

    def __getitem__(self, name: str) -> Task[..., Any]:
        task = self._declared.get(name)
        if task is None:
            task = self._find(name)
            if task is None:
                raise KeyError(name)
            self._declared[name] = task
        return task

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._declared))

    def __len__(self) -> int:
        return len(self._declared)


def default_app() -> DjangoApp:
    """Return the application of the first of TASKS that is pgqueue's; else of the database
    "default"."""
    return app_of(next(configured.options(), {}))


def app_of(options: Mapping[str, Any]) -> DjangoApp:
    """Return the application that a backend's OPTIONS describe: one a database and schema."""
    app = _app(configured.database_of(options), options.get("schema", configured.SCHEMA))
    for name in _KEPT:
        if name in options:
            _set(app, name, options[name])
    return app


@cache
def _app(database: str, schema: str) -> DjangoApp:
    return DjangoApp(database, schema)


def _set(app: DjangoApp, name: str, value: Any) -> None:
    if name in ("listen_url", "pool_size"):
        app._options[name] = value
    elif name == "environment":
        app._environment = value
    else:
        setattr(app, name, value)
