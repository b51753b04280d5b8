from __future__ import annotations

from django.db import migrations

from pgqueue.contrib.django.schema_file import SchemaFile


class Migration(migrations.Migration):
    dependencies = [("pgqueue", "0005_keys")]
    operations = [SchemaFile("0006_schedules")]
