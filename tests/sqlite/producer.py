"""Enqueues one job after the other, in a process of its own: `producer FIRST LAST`."""

from __future__ import annotations

import sys

from tests.sqlite.shop import app, ring

for n in range(int(sys.argv[1]), int(sys.argv[2])):
    app.enqueue(ring.job(n))
