from __future__ import annotations

from django.db import migrations

from pgqueue.contrib.django.schema_file import SchemaFile


class Migration(migrations.Migration):
    dependencies = [("pgqueue", "0012_asked")]
    operations = [SchemaFile("0013_one_check")]
