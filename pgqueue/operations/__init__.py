"""The verbs that change something, each a pure function that describes one operation.

An ``Operation`` names a statement file, gives its parameters and says how to read the answer; a
backend carries it out. Nothing here does I/O, so the same description serves blocking and async
callers, every store, and the caller's own transaction. What takes several operations is a ``Plan``:
a generator that yields operations and is sent their answers.

Instants (*now*) are for tests; without one the store's clock rules.

``operation`` is the value, ``params`` how its parameters are written. Jobs come into being in
``enqueueing`` (with ``rows`` and ``dependencies``), into a worker's hands in ``claiming``, out of
them in ``finishing``. ``workers`` come and go, people act in ``control``, the leader in
``maintenance``.
"""

from pgqueue.operations.claiming import ClaimedJob, Floor, claim, recall
from pgqueue.operations.control import cancel, pause, resume, retry
from pgqueue.operations.dependencies import graft, hold
from pgqueue.operations.enqueueing import begin, enqueue, topics, wake
from pgqueue.operations.finishing import (
    Completed,
    Failed,
    Released,
    Told,
    busy,
    complete,
    completing,
    fail,
    release,
)
from pgqueue.operations.maintenance import (
    Leadership,
    Promoted,
    Rescue,
    Rescued,
    Retention,
    Sweep,
    elect,
    promote,
    prune,
    rescue,
    resign,
    sweep,
)
from pgqueue.operations.operation import Answers, Operation, Param, Plan, Rows, Together
from pgqueue.operations.params import EVERYTHING, as_json
from pgqueue.operations.rows import is_simple
from pgqueue.operations.workers import (
    Held,
    Membership,
    Progress,
    heartbeat,
    join,
    leave,
    progress,
    reserve,
)

__all__ = [
    "EVERYTHING",
    "Answers",
    "ClaimedJob",
    "Completed",
    "Failed",
    "Floor",
    "Held",
    "Leadership",
    "Membership",
    "Operation",
    "Param",
    "Plan",
    "Progress",
    "Promoted",
    "Released",
    "Rescue",
    "Rescued",
    "Retention",
    "Rows",
    "Sweep",
    "Together",
    "Told",
    "as_json",
    "begin",
    "busy",
    "cancel",
    "claim",
    "complete",
    "completing",
    "elect",
    "enqueue",
    "fail",
    "graft",
    "heartbeat",
    "hold",
    "is_simple",
    "join",
    "leave",
    "pause",
    "progress",
    "promote",
    "prune",
    "recall",
    "release",
    "rescue",
    "reserve",
    "resign",
    "resume",
    "retry",
    "sweep",
    "topics",
    "wake",
]
