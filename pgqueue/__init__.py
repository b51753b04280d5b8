"""A job queue that lives in the database an application already has.

    from pgqueue import App, Context, enqueue

    app = App("postgresql:///shop")

    @app.task(queue="mail", max_attempts=5)
    async def send_receipt(order_id: int) -> None: ...

    with Session(engine) as session, session.begin():
        session.add(order)
        session.flush()
        enqueue(session, send_receipt.job(order_id=order.id))

Everything users need is here. Beside it: `pgqueue.operations` and `pgqueue.inspections`, the verbs
as values for `app.execute`; `pgqueue.retries`, policies; `pgqueue.errors`; `pgqueue.migrations`.
"""

from pgqueue.app import App as App
from pgqueue.client import enqueue as enqueue
from pgqueue.client import execute as execute
from pgqueue.context import Context as Context
from pgqueue.errors import PgqueueError as PgqueueError
from pgqueue.graphs import Graph as Graph
from pgqueue.graphs import chain as chain
from pgqueue.graphs import group as group
from pgqueue.graphs import map_reduce as map_reduce
from pgqueue.graphs import workflow as workflow
from pgqueue.jobs import Handle as Handle
from pgqueue.jobs import Job as Job
from pgqueue.jobs import NewJob as NewJob
from pgqueue.jobs import State as State
from pgqueue.operations import Retention as Retention
from pgqueue.outcomes import Cancel as Cancel
from pgqueue.outcomes import Discard as Discard
from pgqueue.outcomes import Retry as Retry
from pgqueue.outcomes import Snooze as Snooze
from pgqueue.parents import PARENT as PARENT
from pgqueue.parents import Result as Result
from pgqueue.parents import Results as Results
