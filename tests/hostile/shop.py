"""Tasks that mean no good, and one that does."""

from __future__ import annotations

from typing import Any

from pgqueue import App

app = App()


def _shouts() -> Exception:
    class Shouts(Exception):
        def __str__(self) -> str:
            raise RuntimeError("nobody may read this")

        __repr__ = __str__

    return Shouts()


def _lies() -> Exception:
    class Lies(Exception):
        def __str__(self) -> Any:
            return 7

    return Lies()


def _leaves() -> Exception:
    class Leaves(Exception):
        def __str__(self) -> str:
            raise SystemExit(3)

    return Leaves()


def _with_notes() -> Exception:
    error = ValueError("noted")
    error.add_note("\0\ud800")
    error.__notes__.append(7)  # type: ignore[arg-type]
    return error


def _caused() -> Exception:
    error, cause = ValueError("one"), ValueError("other")
    error.__cause__, cause.__cause__ = cause, error
    return error


def _nested() -> list[Any]:
    outer: list[Any] = []
    for _ in range(50_000):
        outer = [outer]
    return outer


def _itself() -> list[Any]:
    mine: list[Any] = []
    mine.append(mine)
    return mine


RAISED = {
    "shouts": _shouts,
    "lies": _lies,
    "leaves": _leaves,
    "notes": _with_notes,
    "caused by itself": _caused,
    "nul": lambda: ValueError("a\0b"),
    "surrogate": lambda: ValueError("\ud800"),
    "long": lambda: ValueError("x" * 2**22),
    "odd name": lambda: type("Odd\0\ud800name", (Exception,), {})("odd"),
    "group": lambda: ExceptionGroup("many", [ValueError(str(n)) for n in range(100)]),
    "exit": lambda: SystemExit(3),
    "stop": lambda: StopIteration(1),
    "generator exit": lambda: GeneratorExit(),
    "recursion": lambda: RecursionError("x"),
    "sql": lambda: ValueError("'; DROP TABLE pgqueue.job; --"),
}
RETURNED = {
    "object": object,
    "function": lambda: print,
    "nan": lambda: float("nan"),
    "nul": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "long": lambda: "x" * 2**20,
    "nested": _nested,
    "itself": _itself,
    "huge": lambda: 10**5000,
    "generator": lambda: (n for n in range(3)),
    "exception": lambda: ValueError("x"),
    "shouts": _shouts,
}


def _harm(raises: str | None, returns: str | None) -> Any:
    if raises is not None:
        raise RAISED[raises]()
    return RETURNED[returns or ""]()


@app.task(max_attempts=1)
async def harm(raises: str | None = None, returns: str | None = None) -> Any:
    return _harm(raises, returns)


@app.task(max_attempts=1)
def harm_in_thread(raises: str | None = None, returns: str | None = None) -> Any:
    return _harm(raises, returns)


@app.task(max_attempts=1, executor="process")
def harm_in_process(raises: str | None = None, returns: str | None = None) -> Any:
    return _harm(raises, returns)


@app.task
async def well() -> str:
    return "well"
