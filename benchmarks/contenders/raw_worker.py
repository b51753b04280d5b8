"""The bare worker: claims and deletes batches of 500 on one connection, then LISTENs for more."""

from __future__ import annotations

import json
import signal
import sys
import time
from threading import Event

import msgspec
import psycopg

from benchmarks.contenders.raw import CLAIM, DELETE

BATCH = 500


class Args(msgspec.Struct):
    sent: float


def main(url: str) -> None:
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    decode = msgspec.json.Decoder(Args).decode
    picked: list[float] = []
    done: list[float] = []
    jobs, began, ended = 0, 0.0, 0.0
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("LISTEN job")
        connection.execute(CLAIM, (0,))
        connection.execute(DELETE, ([],))
        print("ready", flush=True)
        while not stopped.is_set():
            asked = time.time()
            rows = connection.execute(CLAIM, (BATCH,)).fetchall()
            if rows:
                sent = [decode(args).sent for _, _, args in rows]
                picked += [time.time() - instant for instant in sent]
                connection.execute(DELETE, ([id for id, _, _ in rows],))
                began, ended, jobs = began or asked, time.time(), jobs + len(rows)
                done += [ended - instant for instant in sent]
                continue
            if jobs:
                connection.execute("INSERT INTO span VALUES (%s, %s, %s)", (jobs, began, ended))
                jobs, began = 0, 0.0
            for _ in connection.notifies(timeout=0.5, stop_after=1):
                pass
    print(json.dumps({"picked": picked, "done": done}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
