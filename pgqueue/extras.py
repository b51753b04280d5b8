"""Other packages' libraries, which come with pgqueue's extras: the one home of how to get them."""

from __future__ import annotations

from pgqueue.errors import MissingExtra, PgqueueError


class installed:
    """Turn an import that fails within into an error of *kind* that names the *extra* to install.

    What fails to import in pgqueue itself is raised as it is.
    """

    def __init__(self, extra: str, kind: type[PgqueueError] = MissingExtra) -> None:
        self._extra = extra
        self._kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, ImportError) or isinstance(error, PgqueueError):
            return
        if (error.name or "").partition(".")[0] == "pgqueue":
            return
        absent = isinstance(error, ModuleNotFoundError)
        said = f"{error.name} is missing" if absent else str(error)
        raise self._kind(f"pip install 'pgqueue[{self._extra}]': {said}") from error
