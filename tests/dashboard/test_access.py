"""Which workers a viewer of some queues sees, and which it may direct."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from pgqueue.dashboard import Access
from pgqueue.operations.inspections import WorkerInfo
from pgqueue.testing.conformance import NOON


def worker(
    *queues: str, patterns: tuple[str, ...] = (), excluded: tuple[str, ...] = ()
) -> WorkerInfo:
    return WorkerInfo(
        id=1,
        name="till",
        host="here",
        pid=7,
        queues=list(queues),
        running=0,
        started_at=NOON,
        heartbeat_at=NOON,
        session=True,
        leads=False,
        info={"patterns": list(patterns), "excluded": list(excluded)},
    )


@pytest.mark.parametrize(
    ("there", "is_seen", "may_be_directed"),
    [
        (worker("mail"), True, True),
        (worker("pdf"), False, False),
        (worker("mail", "pdf"), True, False),
        (worker(patterns=("mail*",)), True, True),
        (worker(patterns=("mail.*",)), True, True),
        (worker(patterns=("*l",)), True, False),
        (worker(patterns=("*",)), True, False),
        (worker(patterns=("m*", "pdf*")), True, False),
        (worker(patterns=("pdf*",)), False, False),
        (worker("mail", patterns=("pdf*",)), True, False),
        (worker(patterns=("*",), excluded=("mail*",)), False, False),
        (worker(patterns=("*",), excluded=("mail.old",)), True, False),
    ],
)
def test_a_viewer_sees_who_may_serve_its_queues_and_directs_who_serves_no_others(
    there: WorkerInfo, is_seen: bool, may_be_directed: bool
) -> None:
    some = Access("bob", queues=("mail*",))

    assert (some.sees_worker(there), some.sees_all_of(there)) == (is_seen, may_be_directed)


@pytest.mark.parametrize(
    ("mine", "theirs", "meet"),
    [
        ("mail", "m*", True),
        ("mail", "mail.*", False),
        ("mail?", "m*x.", False),
        ("mail?", "mail*", True),
        ("mail?", "m*l", True),
        ("[!mn]ail", "b*l", True),
        ("a*b", "*c", False),
        ("a*c", "*b*", True),
        ("*", "*a*b*", True),
    ],
)
def test_two_patterns_meet_in_a_name_that_both_mean(mine: str, theirs: str, meet: bool) -> None:
    assert Access("bob", queues=(mine,)).sees_worker(worker(patterns=(theirs,))) == meet


def test_a_pattern_of_single_signs_covers_no_pattern_with_a_star() -> None:
    assert not Access("bob", queues=("mail?",)).sees_all_of(worker(patterns=("mail*",)))


@pytest.mark.parametrize(("mine", "theirs"), [("*-*", "[a-c]x"), ("*a*", "[ab]*")])
def test_what_stands_in_a_bracket_is_no_part_of_each_name(mine: str, theirs: str) -> None:
    assert not Access("bob", queues=(mine,)).sees_all_of(worker(patterns=(theirs,)))


def test_a_worker_of_no_queue_is_for_those_alone_who_see_all() -> None:
    whole, some = Access("ann"), Access("bob", queues=("mail*",))

    assert whole.sees_worker(worker())
    assert whole.sees_all_of(worker())
    assert whole.sees_worker(worker(patterns=("mail*",), excluded=("*",)))
    assert not some.sees_worker(worker())
    assert not some.sees_all_of(worker())


def test_a_pattern_may_be_very_long() -> None:
    some = Access("bob", queues=("mail*",))

    assert some.sees_worker(worker(patterns=("mail" + "?" * 5_000,)))
    assert not some.sees_worker(worker(patterns=("?" * 5_000 + "[",), excluded=("mail*",)))


@pytest.mark.parametrize("told", [5, None, [1], "mail*", {"mail*": 1}])
def test_patterns_that_somebody_wrote_by_hand_are_none(told: object) -> None:
    odd = structs.replace(worker(), info={"patterns": told, "excluded": told})

    assert not Access("bob", queues=("mail*",)).sees_worker(odd)


@pytest.mark.parametrize("queues", [("bad name\n",), ("mail", ""), ("*]",), (5,), "mail*"])
def test_patterns_that_no_queue_can_have_are_refused(queues: Any) -> None:
    with pytest.raises(ValueError, match="queues: "):
        Access("bob", queues=queues)


def test_patterns_may_have_every_sign_of_the_shell() -> None:
    some = Access("bob", queues=("*", "?", "mail.[!a-c]?*", "a/b:c-d"))

    assert some.sees_all
