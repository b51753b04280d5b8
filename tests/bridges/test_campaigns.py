"""The campaign in miniature: everything dies once, every message is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bridges import campaign
from tests.bridges.campaign import Found
from tests.bridges.rabbit import Rabbit


@pytest.mark.slow
def test_what_is_committed_is_published_whatever_dies(
    broker: Rabbit, postgres_url: str, tmp_path: Path
) -> None:
    rounds = ["worker", "connections", "worker", "frozen", "broker", "alarm", "worker"]

    assert (
        campaign.outlet(broker, postgres_url, tmp_path, count=1_500, rounds=rounds, pace=0.008)
        == []
    )


def test_the_checker_sees_what_goes_wrong() -> None:
    committed = {n: str(n) for n in range(0, 20, 2)}
    fine = [(n, str(n)) for n in committed]

    def told(came: list[tuple[int, str]]) -> str:
        return "; ".join(Found(came).complaints(committed, 0))

    assert told(fine) == ""
    assert "1 committed messages never came" in told(fine[1:])
    assert "1 messages came that were rolled back" in told([*fine, (3, "3")])
    assert "another id" in told([*fine[1:], (0, "x")])
    assert "1 repeats after 0 faults" in told([*fine, fine[0]])
    assert "key 0: first arrivals are out of order" in told([fine[5], *fine])
