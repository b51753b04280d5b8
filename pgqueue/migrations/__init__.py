"""The schema: numbered SQL files, and four ways to apply them that end in the same place.

* `pgqueue migrate`, which is `migrate`;
* `alembic upgrade head` in a checkout;
* a revision of the application's own::

      import pgqueue.migrations

      def upgrade() -> None:
          pgqueue.migrations.upgrade(op.get_bind(), to="0013")

* `psql --single-transaction -f sql/postgres/schema/0001_jobs.sql -f …`, each file in turn.

PostgreSQL and SQLite have the same revisions. Each file is applied once and records itself in the
table `migration` of the queue's schema (`pgqueue_migration` in SQLite). That table decides what is
applied, whoever ran the file; Alembic's own version table is made to agree with it. Migrators take
turns. A schema newer than this code is left alone: that is usual while a new release is rolled out.
"""

from pgqueue.migrations.migrate import BASE as BASE
from pgqueue.migrations.migrate import HEAD as HEAD
from pgqueue.migrations.migrate import check as check
from pgqueue.migrations.migrate import connected as connected
from pgqueue.migrations.migrate import current as current
from pgqueue.migrations.migrate import database_at as database_at
from pgqueue.migrations.migrate import dialect as dialect
from pgqueue.migrations.migrate import downgrade as downgrade
from pgqueue.migrations.migrate import head as head
from pgqueue.migrations.migrate import include_name as include_name
from pgqueue.migrations.migrate import include_object as include_object
from pgqueue.migrations.migrate import known as known
from pgqueue.migrations.migrate import leave as leave
from pgqueue.migrations.migrate import migrate as migrate
from pgqueue.migrations.migrate import script as script
from pgqueue.migrations.migrate import sufficient as sufficient
from pgqueue.migrations.migrate import upgrade as upgrade
