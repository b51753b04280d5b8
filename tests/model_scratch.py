import sys, time
from pgqueue.testing.histories import play
from pgqueue import embedded, statements
from pgqueue.backends.postgres import PostgresBackend
import psycopg
from tests.conftest import _fastest_folder, SETTINGS
with embedded.start(_fastest_folder(), ephemeral=True, options=SETTINGS) as server:
    with psycopg.connect(server.url, autocommit=True) as c:
        for f in statements.schema_files("postgres"): c.execute(f.up.encode())
        backend = PostgresBackend(server.url)
        def empty():
            c.execute("DELETE FROM pgqueue.job; DELETE FROM pgqueue.archive; DELETE FROM pgqueue.dependency; DELETE FROM pgqueue.workflow; DELETE FROM pgqueue.queue; DELETE FROM pgqueue.worker; DELETE FROM pgqueue.leader;")
            for (n,) in c.execute(r"select inhrelid::regclass::text from pg_inherits where inhrelid::regclass::text ~ '_\d+_\d+$'").fetchall(): c.execute(f"DROP TABLE {n}")
            return backend
        t=time.time(); n=[0]
        def told(): n[0]+=1
        try:
            play({"postgres": empty}, histories=int(sys.argv[1]), seed=int(sys.argv[2]), told=told)
        finally:
            print(n, time.time()-t)
        backend.close()
