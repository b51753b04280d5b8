"""Where a process finds a task: a module that it can import, and the name of a variable in it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from pgqueue.errors import InvalidTask
from pgqueue.tasks.hooks import AroundHook, named
from pgqueue.tasks.task import Task

_MAIN = "__main__"


class Place(NamedTuple):
    """The variable *path* in *module*.

    A program's main script cannot be imported as `__main__` by another process. Then *module* is
    "__main__:NAME", and a pool process runs module NAME; without a NAME it runs the script *file*.
    """

    name: str
    module: str
    path: str
    file: str | None = None

    def find(self) -> Task[Any, Any]:
        """The task, imported in a pool process; raises InvalidTask if something else is there."""
        found = _at(_module(self.module, self.file), self.path)
        if not isinstance(found, Task) or found.name != self.name:
            raise self._mistaken()
        return found

    def find_hook(self) -> AroundHook:
        """The hook, likewise."""
        found = _at(_module(self.module, self.file), self.path)
        if not callable(found):
            raise self._mistaken()
        hook: AroundHook = found
        return hook

    def find_variable(self) -> ContextVar[str]:
        """The variable that is carried, likewise."""
        found = _at(_module(self.module, self.file), self.path)
        if not isinstance(found, ContextVar):
            raise self._mistaken()
        return found

    def _mistaken(self) -> InvalidTask:
        return InvalidTask(
            f"{self.name}: {self.module}.{self.path} is another thing in a process of the pool"
        )


@cache
def _module(name: str, file: str | None) -> Any:
    # As multiprocessing calls it: code below `if __name__ == "__main__"` is not run.
    again = "__mp_main__"
    if file is not None:
        return SimpleNamespace(**runpy.run_path(file, run_name=again))
    if name.startswith(f"{_MAIN}:"):
        main = name.partition(":")[2]
        return SimpleNamespace(**runpy.run_module(main, run_name=again, alter_sys=True))
    return import_module(name)


def place(task: Task[Any, Any]) -> Place:
    """Where a process finds *task*. Raises InvalidTask when it would find it nowhere.

    The search tries the function's own name, then all variables of all modules: a partial or a
    lambda has no name that leads to it. That takes a while, so it is done once, when a worker
    starts, and not at each attempt.
    """
    own, path = getattr(task.fn, "__module__", None), getattr(task.fn, "__qualname__", None)
    is_there = _is(_at(sys.modules.get(own or ""), path or ""), task.name)
    return _place(task.name, task, [(own, path)] if own and path and is_there else [])


def hook_place(hook: AroundHook) -> Place:
    """Where a process finds *hook*, as a task is found. Raises InvalidTask."""
    own, path = getattr(hook, "__module__", None), getattr(hook, "__qualname__", None)
    is_there = _at(sys.modules.get(own or ""), path or "") is hook
    return _place(named(hook), hook, [(own, path)] if own and path and is_there else [])


def variable_place(name: str, variable: ContextVar[str]) -> Place:
    """Where a process finds *variable*, which is carried as *name*. Raises InvalidTask."""
    return _place(name, variable, [])


def _place(called: str, thing: object, own: list[tuple[str, str]]) -> Place:
    for module, path in (*own, *_variables(thing)):
        if module == _MAIN:
            main = sys.modules[_MAIN]
            name = getattr(getattr(main, "__spec__", None), "name", _MAIN)
            if name != _MAIN:
                return Place(called, f"{_MAIN}:{name}", path)
            file = getattr(main, "__file__", None)
            if file is not None and Path(file).is_file():
                return Place(called, _MAIN, path, file)
        elif _can_be_imported(module):
            return Place(called, module, path)
    raise InvalidTask(
        f'{called}: a process would not find it, and executor="process" needs that: declare it '
        "at the top level of a module that can be imported, in a variable of its own"
    )


def _variables(thing: object) -> Iterator[tuple[str, str]]:
    for name, module in list(sys.modules.items()):
        if name != "__mp_main__":
            for variable, value in list(getattr(module, "__dict__", {}).items()):
                if value is thing:
                    yield name, variable


def _at(module: Any, path: str) -> Any:
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError:
        return None


def _is(found: Any, task: str) -> bool:
    return isinstance(found, Task) and found.name == task


def _can_be_imported(name: str) -> bool:
    """Whether another process would find this module by its name. That it is in `sys.modules` here
    says little: a program can put anything there."""
    package = name.rpartition(".")[0]
    path = getattr(sys.modules.get(package), "__path__", None) if package else None
    return any(finder.find_spec(name, path) is not None for finder in sys.meta_path)
