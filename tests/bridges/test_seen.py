"""What `status`, `doctor` and `why` say of outlets and inlets, on every store, by what workers say
of their own: nobody asks a broker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgqueue import App
from pgqueue.bridges import Never, Received, probing
from pgqueue.doctor.bridges import _away, _look_at
from pgqueue.views.bridges import BridgeState, BridgeStatus, bridges, info_of, states_of
from pgqueue.worker.agents import receiver
from tests.bridges.brokers import Broker, Mailbox
from tests.bridges.running import until_ended, working
from tests.cli.terminal import Terminal
from tests.worker.process import soon


class Forgetful(Mailbox):
    """A queue that keeps messages for longer than they are known here."""

    async def examine(self, keep: timedelta | None = None, /) -> Sequence[str]:
        return [f"keep={keep} is too short"]


@pytest.fixture
def app(any_app: App) -> App:
    return any_app


@pytest.fixture
def terminal(app: App) -> Terminal:
    return Terminal(app.url)


async def seen(app: App, terminal: Terminal, name: str, **wanted: Any) -> dict[str, Any]:
    """What `status --json` says of a bridge, once that is what is *wanted*; True: anything."""

    def look() -> dict[str, Any] | None:
        found = terminal("status", "--json", PGQUEUE_SCHEMA=app.schema).json["bridges"]
        for bridge in found:
            if bridge["name"] == name and all(
                bool(bridge[field]) if value is True else bridge[field] == value
                for field, value in wanted.items()
            ):
                return dict(bridge)
        return None

    return await soon(look)


async def examined(app: App, terminal: Terminal) -> dict[str, list[dict[str, Any]]]:
    """What `doctor --json` finds of bridges, by level; and of jobs that wait."""

    def look() -> list[dict[str, Any]]:
        told = terminal("doctor", "--json", PGQUEUE_SCHEMA=app.schema)
        return list(json.loads(told.out))

    found: dict[str, list[dict[str, Any]]] = {"ok": [], "warning": [], "error": []}
    for finding in await soon(look):
        if finding["check"] == "bridges":
            found[finding["level"]].append(finding)
    return found


async def test_a_shut_gate_is_seen_by_everybody_who_asks(app: App, terminal: Terminal) -> None:
    broker = Broker(away=True)
    orders = app.outlet("orders", broker, ordered=False)
    handle, *_ = await app.enqueue_async([orders.message(n) for n in range(3)])
    async with working(app):
        shut = await seen(app, terminal, "orders", away_since=True, waiting=3, next_look_at=True)
        assert (shut["kind"], shut["place"], shut["why"]) == ("outlet", "a toy", "it is away")
        assert (shut["workers"], shut["away"]) == (1, 1)

        [finding] = (await examined(app, terminal))["warning"]
        assert "outlet orders: a toy is out of reach, since " in finding["message"]
        assert ": it is away; 3 messages wait; the next look is " in finding["message"]
        assert finding["cure"] == "pgqueue bridge check APP orders"

        why = await soon(lambda: terminal.ok("why", handle.id, PGQUEUE_SCHEMA=app.schema))
        assert "but the gate of outlet orders is shut since " in why
        assert ": it is away; the next look is " in why
        table = await soon(lambda: terminal.ok("status", PGQUEUE_SCHEMA=app.schema))
        assert "orders" in table

        broker.away = False
        await until_ended(app, 3)
        back = await seen(app, terminal, "orders", away_since=None, waiting=0)
        assert (back["why"], back["next_look_at"], back["away"]) == (None, None, 0)
        [finding] = (await examined(app, terminal))["ok"]
        assert finding["message"] == "1 outlets and 0 inlets, their brokers in reach"


async def test_high_water_dead_letters_and_an_inlet_that_nobody_serves(
    app: App, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "COUNT_SECONDS", 0.001)
    box = Forgetful(batch=1)

    @app.task(queue="slow")
    def settle(n: int) -> None: ...

    app.inlet("payments", box, settle, high_water=2, keep=60)
    app.inlet("uploads", Mailbox(), settle)
    gone = app.outlet("gone", Broker(refuses={b"1": Never("gone")}))
    await app.enqueue_async(gone.message(1))
    box.put(Received(body=b"poison"), *(Received(body=b'{"n": 1}') for _ in range(50)))
    async with working(app, queues="gone,payments", inlets=["payments"]):
        high = await seen(app, terminal, "payments", paused_since=True, dead=1)
        assert (high["high_water"], high["queue"], high["waiting"]) == (2, "slow", None)
        await seen(app, terminal, "gone", dead=1)
        assert (await seen(app, terminal, "uploads"))["workers"] == 0

        found = (await examined(app, terminal))["warning"]
        said = {each["message"]: each["cure"] for each in found}

    [paused] = [each for each in said if "takes nothing" in each]
    assert paused.endswith("ago: more than 2 jobs wait in queue slow")
    dead = "pgqueue jobs list --queue {} --state discarded; pgqueue jobs retry"
    expected = {
        "no worker takes the messages of inlet uploads": (
            "pgqueue bridge APP uploads, or a worker's --inlets"
        ),
        "inlet payments: keep=0:01:00 is too short": "pgqueue bridge check APP payments",
        "inlet payments has 1 dead letters, messages that could not be read": (
            dead.format("payments")
        ),
        "outlet gone has 1 dead letters, messages that were not sent": dead.format("gone"),
        paused: "more workers for that queue, or a larger high_water",
    }
    assert said == expected


async def test_an_inlet_whose_broker_is_away_says_so(
    app: App, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "FIRST_GAP_SECONDS", 0.01)
    box = Mailbox(away=True)

    @app.task
    def settle(n: int) -> None: ...

    app.inlet("payments", box, settle)
    async with working(app, inlets=True):
        away = await seen(app, terminal, "payments", away_since=True, next_look_at=True)
        assert (away["kind"], away["why"]) == ("inlet", "it is away")

        box.away = False
        await seen(app, terminal, "payments", away_since=None, why=None, next_look_at=None)


def status(**fields: Any) -> BridgeStatus:
    return BridgeStatus(**{"name": "orders", "kind": "outlet", "workers": 1, **fields})


def test_a_gate_that_is_shut_for_more_than_a_minute_is_an_error() -> None:
    now = datetime.now(UTC)

    def level(seconds: float, workers: int) -> str:
        since = now - timedelta(seconds=seconds)
        return _away(status(away=1, away_since=since, workers=workers), "outlet orders").level

    assert [level(30, 1), level(90, 1), level(90, 2)] == ["warning", "error", "warning"]


def test_a_message_that_waits_for_five_minutes_is_a_finding() -> None:
    assert list(_look_at(status(oldest_due_seconds=200.0))) == []

    [finding] = _look_at(status(oldest_due_seconds=400.0))

    assert finding.level == "warning"
    assert "a message of outlet orders has been due for 6.7 min" in finding.message


def test_what_several_workers_say_is_added() -> None:
    early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    gone = [
        BridgeState(name="a", kind="outlet", place="x", away_since=at, why="no", next_look_at=at)
        for at in (late, early)
    ]
    fine = BridgeState(name="a", kind="outlet", place="x")
    infos = [info_of([each]) for each in (*gone, fine)]

    [both] = bridges(infos[:2])
    [some, declared] = bridges([*infos, {"inlets": ["b"]}])

    assert (both.workers, both.away, both.is_shut, both.away_since) == (2, 2, True, early)
    assert (some.workers, some.away, some.is_shut, some.next_look_at) == (3, 2, False, early)
    assert (declared.name, declared.kind, declared.workers) == ("b", "inlet", 0)


def test_what_a_broker_says_can_be_stored_and_what_another_pgqueue_says_is_passed_over() -> None:
    state = BridgeState(name="a", kind="inlet", why="\0\ud800\x1b[2J", problems=["\0"])

    told = info_of([state])

    [back] = states_of(told)
    assert (back.why, back.problems) == ("\\x00\\ud800\\x1b[2J", ["\\x00"])
    assert states_of({"bridges": [{"kind": "tunnel"}, *told["bridges"]]}) == [back]
    assert info_of([]) == {}
