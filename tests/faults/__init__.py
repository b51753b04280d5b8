"""A campaign that kills everything, and a checker that counts every job.

`python -m tests.faults` plays rounds. A *round* is a *site* (a store and the ways to it), a *fleet*
of worker processes, a *producer* that enqueues in transactions together with rows of its own, and
a *nemesis* that deals faults. Tasks write a *journal*, a file outside the store. When all faults
are healed and all jobs have ended, the *checker* compares journal, producer's rows and the store's
jobs.

Some fifty schedules (`timetable.py`) fire meanwhile, and a *timekeeper* pauses and changes them;
the checker computes from a schedule's definition alone when it had to fire. Some of the orders are
for queues with limits (`ration.py`), and some have keys that are held until the job has started
(`triggers.py`); a *lookout* watches both all the time. *Editors* save documents, each of which
has its own rule for the next job of its key (`edits.py`).

A new fault is a class in `kinds/`, with `strike` and `heal`. A new store is a file in `sites/`: it
starts a server, says how workers and the producer reach it, and reads its jobs as `facts.Job`.
"""
