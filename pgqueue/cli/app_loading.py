"""Find the application that `module:attribute` names, or say what is there instead."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pgqueue.app import App


def find_app(name: str) -> App:
    """The App called *name*: "shop.tasks:app", or "shop.tasks" when that module has just one.

    Looks in the current directory first. Its schedules belong to this name, unless the App has a
    name of its own. Raises UsageError, which says what is there.
    """
    from pgqueue.app import App

    module_name, _, attribute = name.partition(":")
    if not module_name:
        raise click.UsageError(
            f"{name!r} names no module; give MODULE or MODULE:APP, shop.tasks:app"
        )
    if module_name.endswith(".py") or os.sep in module_name:
        dotted = ".".join(Path(module_name.removesuffix(".py")).parts)
        wanted = f"{dotted}:{attribute}" if attribute else dotted
        raise click.UsageError(f"{module_name}: give a module, not a file: {wanted}")
    module = _import(module_name)
    apps = {key: value for key, value in vars(module).items() if isinstance(value, App)}
    if attribute:
        found: object = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if isinstance(found, App):
            found.owner = found.owner or name
            return found
        kind = type(found).__name__
        article = "an" if kind[0] in "AEIOU" else "a"
        what = f"is {article} {kind}, not an App" if found is not None else "is not there"
        raise click.UsageError(f"{name} {what}; {_here(module_name, apps)}")
    if len({id(app) for app in apps.values()}) != 1:
        raise click.UsageError(_here(module_name, apps))
    [(attribute, app), *_] = apps.items()
    app.owner = app.owner or f"{module_name}:{attribute}"
    return app


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            parent, _, last = error.name.rpartition(".")
            known = sys.modules.get(parent)
            hint = f"; did you mean {parent}:{last}?" if hasattr(known, last) else ""
            raise click.UsageError(
                f"there is no module {error.name} in {here}, nor installed{hint}"
            ) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error
    except SystemExit as error:
        raise click.UsageError(
            f"{name} ends the program when it is imported; guard that with "
            'if __name__ == "__main__":'
        ) from error


def _broken(name: str, error: Exception) -> click.UsageError:
    """The error of somebody's own code, with the place where it was raised."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}"
        text = error.msg
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place, text = f"{last.filename}, line {last.lineno}", str(error)
    return click.UsageError(f"{name} cannot be imported: {type(error).__name__}: {text} ({place})")


def _here(module: str, apps: dict[str, App]) -> str:
    if not apps:
        return f"{module} has no App; it should say app = App(...)"
    names = ", ".join(f"{module}:{name}" for name in apps)
    return f"{module} has {names}: name one"
