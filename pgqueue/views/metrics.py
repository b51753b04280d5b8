"""Metrics: their names, what each says, and Prometheus's text form of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from pgqueue.jobs.tally import ANSWERS, OUTCOMES, Bridge, Figures, Histogram
from pgqueue.operations import inspections
from pgqueue.operations.counting import oldest_due

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
TEXT_KIND: Final = "text/plain; version=0.0.4; charset=utf-8"
# Bounds as powers of two seconds: from 1 ms to 18 hours, close together where most jobs are.
BOUNDS: Final = (-10, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16)


class Sample(NamedTuple):
    """One value; *suffix* is for the parts of a histogram, and a counter's total."""

    suffix: str
    labels: Mapping[str, str]
    value: float


class Family(NamedTuple):
    """A metric, in all its label sets."""

    name: str
    kind: Kind
    help: str
    samples: list[Sample]


class QueueFigures(msgspec.Struct):
    """A queue: live jobs by state, how late the first is, who serves it."""

    name: str
    jobs: dict[str, int]
    oldest_due: float
    paused: bool
    workers: int


class StoreFigures(msgspec.Struct):
    """What is asked of a store for its metrics; *horizon* is None where nothing is vacuumed."""

    queues: list[QueueFigures]
    schema: str
    horizon: float | None = None


def store_figures(
    queues: Iterable[inspections.Queue],
    counts: Iterable[inspections.Count],
    schema: str | None,
    horizon: float | None,
) -> StoreFigures:
    """Return what the store has answered, by queue."""
    of: dict[str, list[inspections.Count]] = {}
    for count in counts:
        of.setdefault(count.queue, []).append(count)
    return StoreFigures(
        [
            QueueFigures(
                queue.name,
                {str(count.state): count.count for count in of.get(queue.name, ())},
                (oldest_due(of.get(queue.name, ())) or timedelta(0)).total_seconds(),
                queue.paused_at is not None,
                queue.workers,
            )
            for queue in queues
        ],
        schema or "none",
        horizon,
    )


def worker_families(figures: Figures) -> Iterator[Family]:
    """Yield what worker processes know of themselves."""
    of = [({"queue": each.queue, "task": each.task}, each) for each in figures.series]
    yield Family(
        "pgqueue_jobs_finished",
        "counter",
        "Attempts that have ended and whose end the store has confirmed, by outcome.",
        [
            Sample("_total", {**labels, "outcome": outcome}, each.outcomes.get(outcome, 0))
            for labels, each in of
            for outcome in OUTCOMES
        ],
    )
    yield Family(
        "pgqueue_job_run_seconds",
        "histogram",
        "How long attempts ran.",
        [sample for labels, each in of for sample in _histogram(labels, each.ran)],
    )
    yield Family(
        "pgqueue_job_wait_seconds",
        "histogram",
        "How long jobs waited from due to start, by the worker's clock.",
        [sample for labels, each in of for sample in _histogram(labels, each.waited)],
    )
    yield Family(
        "pgqueue_jobs_running",
        "gauge",
        "Jobs whose code runs in these processes.",
        [Sample("", {"queue": queue}, n) for queue, n in sorted(figures.running.items())],
    )
    for name, kind, suffix, help, value in (
        ("worker_slots", "gauge", "", "How many jobs may run at once.", figures.slots),
        (
            "lease_lost",
            "counter",
            "_total",
            "Jobs that were another worker's before they had ended here.",
            figures.lost,
        ),
        (
            "event_loop_lag_seconds",
            "gauge",
            "",
            "How late the event loop came to something, at most, in the last half minute.",
            figures.lag,
        ),
    ):
        yield Family(f"pgqueue_{name}", kind, help, [Sample(suffix, {}, value)])  # type: ignore[arg-type]  # kind: one of three texts
    if figures.bridges:
        yield from _bridge_families(figures.bridges)


def _bridge_families(bridges: list[Bridge]) -> Iterator[Family]:
    yield Family(
        "pgqueue_bridge_away_seconds",
        "gauge",
        "For how long an outlet's or inlet's broker has been out of reach; 0 while it is there.",
        [
            Sample(
                "", {"bridge": each.name, "kind": "inlet" if each.inlet else "outlet"}, each.away
            )
            for each in bridges
        ],
    )
    yield from _outlet_families([each for each in bridges if not each.inlet])
    yield from _inlet_families([each for each in bridges if each.inlet])


def _outlet_families(outlets: list[Bridge]) -> Iterator[Family]:
    if not outlets:
        return
    of = [({"bridge": each.name}, each.out) for each in outlets]
    yield Family(
        "pgqueue_outlet_sent",
        "counter",
        "Messages that were handed to the broker, each time counted.",
        [Sample("_total", labels, out.sent) for labels, out in of],
    )
    yield Family(
        "pgqueue_outlet_answers",
        "counter",
        "What became of them: confirmed, returned as no queue takes them, refused, or unknown.",
        [
            Sample("_total", {**labels, "answer": answer}, out.answers.get(answer, 0))
            for labels, out in of
            for answer in ANSWERS
        ],
    )
    yield Family(
        "pgqueue_outlet_in_flight",
        "gauge",
        "Messages of which the broker has yet to say something.",
        [Sample("", labels, out.flying) for labels, out in of],
    )
    yield Family(
        "pgqueue_outlet_answer_seconds",
        "histogram",
        "How long the broker took to answer, of each message by the call that it went with.",
        [sample for labels, out in of for sample in _histogram(labels, out.answered)],
    )


def _inlet_families(inlets: list[Bridge]) -> Iterator[Family]:
    if not inlets:
        return
    yield Family(
        "pgqueue_inlet_paused",
        "gauge",
        "Whether an inlet takes nothing, as its high water is reached.",
        [Sample("", {"bridge": each.name}, int(each.paused)) for each in inlets],
    )
    for name, help in (
        ("received", "Messages that came from the broker, each time counted."),
        ("taken", "Messages that were taken and are jobs, committed; repeated deliveries count."),
        ("unnamed", "Messages among them without an id, of which each delivery is a job."),
        ("duplicates", "Messages among them that had come before, and are the job that they were."),
        ("poison", "Messages among them that could not be read, and are dead letters."),
    ):
        samples = [
            Sample("_total", {"bridge": each.name}, getattr(each.into, name)) for each in inlets
        ]
        yield Family(f"pgqueue_inlet_{name}", "counter", help, samples)


def store_families(figures: StoreFigures) -> Iterator[Family]:
    """Yield what the store knows of its queues."""
    queues = figures.queues
    yield Family(
        "pgqueue_jobs",
        "gauge",
        "Live jobs by state; of more than 10,000 the first 10,000 that are found.",
        [
            Sample("", {"queue": queue.name, "state": state}, queue.jobs.get(state, 0))
            for queue in queues
            for state in ("available", "blocked", "retryable", "running", "scheduled")
        ],
    )
    for name, help, values in (
        (
            "oldest_due_seconds",
            "How long the first job that is due has been waiting.",
            [queue.oldest_due for queue in queues],
        ),
        ("queue_paused", "Whether the queue is paused.", [int(queue.paused) for queue in queues]),
        ("workers", "Worker processes that serve the queue.", [queue.workers for queue in queues]),
    ):
        samples = [
            Sample("", {"queue": queue.name}, value)
            for queue, value in zip(queues, values, strict=True)
        ]
        yield Family(f"pgqueue_{name}", "gauge", help, samples)
    if figures.horizon is not None:
        yield Family(
            "pgqueue_horizon_seconds",
            "gauge",
            "For how long somebody has kept vacuum from removing dead rows.",
            [Sample("", {}, figures.horizon)],
        )
    yield Family(
        "pgqueue_schema_info",
        "gauge",
        "The version of the schema, as a label.",
        [Sample("", {"version": figures.schema}, 1)],
    )


def text(families: Iterable[Family]) -> str:
    """Return *families* as Prometheus reads them."""
    lines = []
    for name, kind, help, samples in families:
        shown = f"{name}_total" if kind == "counter" else name
        lines += [f"# HELP {shown} {help}", f"# TYPE {shown} {kind}"]
        for suffix, labels, value in samples:
            pairs = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
            lines.append(
                f"{name}{suffix}{{{pairs}}} {value:.10g}"
                if pairs
                else f"{name}{suffix} {value:.10g}"
            )
    return "\n".join([*lines, ""])


def _histogram(labels: Mapping[str, str], histogram: Histogram) -> Iterator[Sample]:
    counts = dict(histogram.counts)
    for bound in BOUNDS:
        below = sum(count for n, count in counts.items() if n <= 2 * bound)
        yield Sample("_bucket", {**labels, "le": f"{2.0**bound:.10g}"}, below)
    total = sum(counts.values())
    yield Sample("_bucket", {**labels, "le": "+Inf"}, total)
    yield Sample("_sum", labels, histogram.seconds)
    yield Sample("_count", labels, total)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
