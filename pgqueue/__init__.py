"""A job queue that lives in the database an application already has.

    from pgqueue import App, Context, enqueue

    app = App("postgresql:///shop")

    @app.task(queue="mail", max_attempts=5)
    async def send_receipt(order_id: int) -> None: ...

    with Session(engine) as session, session.begin():
        session.add(order)
        session.flush()
        enqueue(session, send_receipt.job(order_id=order.id))

Everything users need is here. Beside it: `pgqueue.operations` and its `inspections`, the verbs as
values for `app.execute`; `pgqueue.jobs.retries`, policies; `pgqueue.errors`; `pgqueue.migrations`.
"""

from pgqueue.app import App as App
from pgqueue.client import cancel as cancel
from pgqueue.client import enqueue as enqueue
from pgqueue.client import execute as execute
from pgqueue.client import retry as retry
from pgqueue.client import schedule as schedule
from pgqueue.client import statement as statement
from pgqueue.client import unschedule as unschedule
from pgqueue.errors import PgqueueError as PgqueueError
from pgqueue.jobs.carrying import carry as carry
from pgqueue.jobs.filters import Filter as Filter
from pgqueue.jobs.graphs import Graph as Graph
from pgqueue.jobs.graphs import chain as chain
from pgqueue.jobs.graphs import group as group
from pgqueue.jobs.graphs import map_reduce as map_reduce
from pgqueue.jobs.graphs import workflow as workflow
from pgqueue.jobs.job import Handle as Handle
from pgqueue.jobs.job import Job as Job
from pgqueue.jobs.job import NewJob as NewJob
from pgqueue.jobs.job import State as State
from pgqueue.jobs.limits import Rate as Rate
from pgqueue.jobs.outcomes import Cancel as Cancel
from pgqueue.jobs.outcomes import Discard as Discard
from pgqueue.jobs.outcomes import Retry as Retry
from pgqueue.jobs.outcomes import Snooze as Snooze
from pgqueue.jobs.retention import Retention as Retention
from pgqueue.jobs.unique import Merge as Merge
from pgqueue.jobs.unique import Unique as Unique
from pgqueue.tasks.context import Context as Context
from pgqueue.tasks.parents import PARENT as PARENT
from pgqueue.tasks.parents import Result as Result
from pgqueue.tasks.parents import Results as Results
