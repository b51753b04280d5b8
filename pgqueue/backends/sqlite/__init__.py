"""SQLite, through Python's sqlite3."""

from __future__ import annotations

from pgqueue.backends.sqlite.backend import SqliteBackend as SqliteBackend
from pgqueue.backends.sqlite.backend import open_backend as open_backend
