"""Random histories, as many as you like: ``python -m tests.model --steps 100000``.

On a store, or on several that play the same history: ``--store postgres --store sqlite``. With
``--url`` one store in a server of yours, in a schema or namespace of its own; else on one that is
started. The same ``--seed`` plays the same histories.
"""

from __future__ import annotations

import argparse
import random
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from pgqueue.testing.histories import play
from tests.model.stores import STORES

STEPS = 100


def main() -> int:
    """Play them; the exit code says whether all answered alike."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000, help="in histories of 100")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--store", action="append", choices=list(STORES), help="all by default")
    parser.add_argument("--url", help="where the one store is")
    arguments = parser.parse_args()
    stores = arguments.store or (["postgres"] if arguments.url else list(STORES))
    if arguments.url and len(stores) > 1:
        parser.error("--url is for one --store")
    histories = max(1, arguments.steps // STEPS)
    print(f"{', '.join(stores)}: {histories} histories of {STEPS} steps, --seed {arguments.seed}")
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with ExitStack() as stack, Progress(*columns, console=Console(stderr=True)) as progress:
        opened = {name: stack.enter_context(STORES[name](arguments.url)) for name in stores}
        bar = progress.add_task("histories", total=histories)
        try:
            play(
                opened,
                histories=histories,
                steps=STEPS,
                seed=arguments.seed,
                told=lambda: progress.advance(bar),
            )
        except AssertionError as difference:
            progress.stop()
            print(difference, *getattr(difference, "__notes__", []), sep="\n")
            return 1
    print("no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
