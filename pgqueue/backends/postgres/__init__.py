"""PostgreSQL, through psycopg."""

from __future__ import annotations

from pgqueue.backends.postgres.backend import PostgresBackend as PostgresBackend
from pgqueue.backends.postgres.backend import open_backend as open_backend
