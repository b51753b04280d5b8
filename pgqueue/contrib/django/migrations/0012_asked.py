from __future__ import annotations

from django.db import migrations

from pgqueue.contrib.django.schema_file import SchemaFile


class Migration(migrations.Migration):
    dependencies = [("pgqueue", "0011_audit")]
    operations = [SchemaFile("0012_asked")]
