"""What a campaign found: as a table for people, and as a document for programs."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.faults.checker import Violation, check, repeats
from tests.faults.facts import FINISHED
from tests.faults.recovery import recoveries, shown
from tests.faults.rounds import Played

SHOWN: Final = 10  # violations of one rule in one stage


@dataclass
class Report:
    """Sums rounds up."""

    faults: Counter[str] = field(default_factory=Counter)
    recovery: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    repeated: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, Violation]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    tracebacks: Counter[str] = field(default_factory=Counter)

    def add(self, stage: str, played: Played) -> list[Violation]:
        facts = played.facts
        found = check(facts)
        self.violations += [(stage, violation) for violation in found]
        self.faults.update(f"{stage}/{fault.kind}" for fault in facts.faults)
        for kind, seconds in recoveries(facts).items():
            self.recovery[f"{stage}/{kind}"] += seconds
        self.repeated.update(f"{stage}/{repeat.fault}" for repeat in repeats(facts))
        self.counts["transactions rolled back or unknown"] += sum(
            fate != "committed" for fate, _ in facts.fates.values()
        )
        self.counts["jobs enqueued"] += len(facts.jobs)
        self.counts["runs"] += sum(len(runs) for runs in facts.runs.values())
        self.counts["jobs run twice for a fault"] += len({r.job for r in repeats(facts)})
        self.counts.update(f"jobs {job.state}" for job in facts.jobs if job.state in FINISHED)
        self.counts["jobs lost"] += len({v.job for v in found if v.rule in ("lost", "terminal")})
        self.counts.update(f"instants {each.outcome}" for each in facts.calendar.firings)
        self.counts["changes to schedules"] += len(facts.calendar.turns)
        self.counts["starts seen in queues with limits"] += len(facts.starts)
        self.counts["triggers that a waiting job answered"] += sum(
            order.started and not order.created for order in facts.orders
        )
        self.counts["triggers behind a job that ran"] += sum(
            order.outcome == "next" for order in facts.orders
        )
        self.counts.update(f"edits {each.outcome or each.fate}" for each in facts.edits)
        self.counts["workers"] += len(facts.workers)
        self.counts["log lines"] += sum(log.count("\n") for log in played.logs.values())
        for log in played.logs.values():
            self.tracebacks.update(_last_lines(log))
        return found

    def document(self) -> dict[str, Any]:
        return {
            "faults": {
                kind: {
                    "injected": self.faults[kind],
                    "run_twice": self.repeated[kind],
                    "recovery": None
                    if (seconds := shown(self.recovery.get(kind, []))) is None
                    else {"p50": round(seconds[0], 3), "max": round(seconds[1], 3)},
                }
                for kind in sorted({*self.faults, *self.recovery})
            },
            "counts": dict(self.counts),
            "skipped": self.skipped,
            "tracebacks": dict(self.tracebacks),
            "violations": [{"stage": stage, **asdict(v)} for stage, v in self.violations],
        }

    def show(self, console: Console) -> None:
        table = Table(title="faults", title_justify="left")
        table.add_column("kind")
        for column in ("injected", "run twice", "recovery p50", "max"):
            table.add_column(column, justify="right")
        for kind, row in self.document()["faults"].items():
            seconds = row["recovery"]
            table.add_row(
                kind,
                str(row["injected"] or ""),
                str(row["run_twice"] or ""),
                *((f"{seconds['p50']:.2f} s", f"{seconds['max']:.2f} s") if seconds else ("", "")),
            )
        console.print(table)
        for name, why in self.skipped.items():
            console.print(f"not dealt: {name}: {why}", style="dim")
        for name, count in _by_name(self.counts):
            console.print(f"{count:>8,} {name}")
        for last, count in self.tracebacks.most_common():
            console.print(f"{count:>8,} times in a log: {last}", style="yellow")
        console.print(f"{len(self.violations):>8,} violations")
        kinds = defaultdict(list)
        for stage, violation in self.violations:
            kinds[stage, violation.rule].append(violation.text)
        for (stage, rule), texts in sorted(kinds.items()):
            console.print(f"[red]{stage}: {rule}:[/red] {len(texts):,}", highlight=False)
            for text in texts[:SHOWN]:
                console.print(f"    {text}", highlight=False)


def _by_name(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items())


def _last_lines(log: str) -> list[str]:
    """The last line of each traceback."""
    return re.findall(r"^Traceback .*?\n(?:[ \n].*\n?)*?(\S.*)$", log, re.MULTILINE)
