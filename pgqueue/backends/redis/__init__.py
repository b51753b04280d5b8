"""Redis and Valkey, through redis-py."""

from __future__ import annotations

from pgqueue.backends.redis.backend import RedisBackend as RedisBackend
from pgqueue.backends.redis.backend import open_backend as open_backend
