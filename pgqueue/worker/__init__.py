"""The worker: a job's life, and its lease.

    enqueue -> available -> claim -> running -> complete -> completed
                   ^                    |----> fail ------> retryable -> promote -> available
                   |                    |                   discarded, cancelled
                   |----- release ------|
                   |----- rescue -------|  (its worker is dead)

One process is one worker. Its agents share little: the ``Fetcher`` claims jobs in batches and hands
them to the ``Executor``; that runs them and hands their outcomes to the ``Completer``, which sends
all gathered outcomes as soon as the previous send has returned. The ``Listener`` hears NOTIFY and
declares on which topics we sleep; the ``Heartbeater`` says which jobs we hold, and learns which of
them we lost. One worker in the cluster is elected leader (``Elector``) and also has the
duties of all: the ``Promoter``, the ``Rescuer``, the ``Expirer``, the ``Pruner``, the ``Scheduler``
and the ``Gauger``.

A claim gives a *lease*, a number that no claim ever gets again. Every write about a running job
names it, and a stale one changes nothing. So nobody has to be sure that another worker is dead:
taking its jobs away is safe for the queue. A mistake costs no more than a second run of a job's
code.

The job is ours from the claim until its outcome is durable, whatever happens in between:

* killed before the claim commits: the job is available, as if nothing had happened;
* killed after it: the kernel closes our session, which frees our presence lock; the leader sees
  that and rescues (who is alive, and who says so: ``life.py``);
* claimed, but the answer was lost: `recall` asks for it; `recollect` finds every other job that the
  store holds for us and nobody here knows of;
* finished, but the answer to the completion was lost: the completion is sent again, and gets the
  same answer;
* frozen for a minute, then thawed: the job has been rescued; our completion is stale, and says so;
* database gone: running jobs go on; their outcomes wait, and are sent when it is back.
"""

from __future__ import annotations

from pgqueue.worker.options import Options as Options
from pgqueue.worker.worker import Worker as Worker
