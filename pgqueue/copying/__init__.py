"""Copy what waits in one store to another, to go on there: `pgqueue copy`.

Copied are jobs that wait, discarded jobs with the descendants that were cancelled because of them,
and the results that any of these may still want to read; with their edges, workflows, attempts,
errors, keys and times; and which queues are paused. Ids are new in the target.

Jobs are copied in batches, each in one transaction that also notes the ids of its jobs on both
sides. So a copy that was interrupted is started again, and brings what is missing. Workers of the
target may run already, so no job comes before what it depends on: first what has finished, then
what is due later, what can run, in the order of its queue, and what is blocked, parents first.
"""

from pgqueue.copying.copier import BATCH_BYTES as BATCH_BYTES
from pgqueue.copying.copier import EPOCH as EPOCH
from pgqueue.copying.copier import INSTANTS as INSTANTS
from pgqueue.copying.copier import NULL as NULL
from pgqueue.copying.copier import ORDER as ORDER
from pgqueue.copying.copier import PAGE as PAGE
from pgqueue.copying.copier import Copier as Copier
from pgqueue.copying.copier import Document as Document
from pgqueue.copying.copier import Edge as Edge
from pgqueue.copying.copier import Listed as Listed
from pgqueue.copying.copier import Report as Report
from pgqueue.copying.copier import Store as Store
from pgqueue.copying.copier import copied as copied
from pgqueue.copying.copier import living as living
from pgqueue.copying.copier import restore as restore
from pgqueue.copying.copier import store_id as store_id
