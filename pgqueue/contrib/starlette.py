"""Starlette: `Starlette(lifespan=lifespan(queue, worker="inside", then=mine))`."""

from pgqueue.contrib.hosting import Where as Where
from pgqueue.contrib.hosting import lifespan as lifespan
