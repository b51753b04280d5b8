"""Copy waiting jobs from one store to another, where they go on: `pgqueue copy`.

It copies waiting jobs, discarded jobs with the descendants that were cancelled because of them, and
the finished jobs whose results these may still read; all with edges, workflows, attempts, errors,
keys and times; and which queues are paused. Ids are new in the target.

Jobs are copied in batches, each in one transaction that also notes the ids of its jobs on both
sides. So an interrupted copy can be started again, and copies only what is missing. Workers of the
target may run already, so no job comes before the jobs that it depends on. The order is: finished
jobs; jobs due later; jobs that can run, in the order of their queue; and blocked jobs, parents
first.
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
