"""The campaign at length: ``python -m tests.bridges``. Exits with 1 on a complaint."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from pgqueue import embedded
from pgqueue.migrations import migrate
from tests.bridges import campaign, rabbit

WEIGHTS = {"worker": 20, "broker": 5, "connections": 3, "alarm": 2, "frozen": 2}


def main() -> int:
    """Play it; what went wrong is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40_000, help="transactions")
    parser.add_argument("--faults", type=int, default=32)
    parser.add_argument("--pace", type=float, default=0.004, help="seconds between two of them")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random.seed(given.seed)
    rounds = random.choices([*WEIGHTS], [*WEIGHTS.values()], k=given.faults)
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.start(None, ephemeral=True) as server,
        rabbit.server() as broker,
    ):
        migrate(server.url)
        complaints = campaign.outlet(
            broker,
            server.url,
            Path(folder),
            count=given.count,
            rounds=rounds,
            pace=given.pace,
        )
    print("\n".join(complaints) or f"{given.count} transactions, {len(rounds)} faults: well")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
