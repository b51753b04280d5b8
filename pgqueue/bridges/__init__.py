"""Bridges: messages of AMQP, SQS, SNS and HTTP beside the application's own tables.

An *outlet* is a task whose work is to publish: its message is a job, so it exists if, and only if,
the transaction that enqueues it commits, and it is retried, dead-lettered and listed as any other.

    orders = app.outlet("orders", amqp.Exchange("shop", url="env:AMQP_URL"))
    enqueue(session, orders.message({"id": order.id}, to="order.created"))

An *inlet* is the other direction: a task whose jobs come from a broker's queue. A message becomes
one job, and is acknowledged after the commit.

    app.inlet("payments", amqp.Queue("payments", url="env:AMQP_URL"), settle)

Adapters are modules here: `amqp`, `celery`, `http`, `sqs`, `sns`; each imports its own library,
which comes with an extra. What another one has to bring is in `base`.
"""

from __future__ import annotations

from pgqueue.bridges.base import Addressed as Addressed
from pgqueue.bridges.base import Again as Again
from pgqueue.bridges.base import Answer as Answer
from pgqueue.bridges.base import Delivered as Delivered
from pgqueue.bridges.base import Message as Message
from pgqueue.bridges.base import Never as Never
from pgqueue.bridges.base import Received as Received
from pgqueue.bridges.base import Returned as Returned
from pgqueue.bridges.base import Sink as Sink
from pgqueue.bridges.base import SinkLine as SinkLine
from pgqueue.bridges.base import Source as Source
from pgqueue.bridges.base import SourceLine as SourceLine
from pgqueue.bridges.base import Unknown as Unknown
from pgqueue.bridges.base import Unreachable as Unreachable
from pgqueue.bridges.inlet import Inlet as Inlet
from pgqueue.bridges.outlet import Outlet as Outlet
