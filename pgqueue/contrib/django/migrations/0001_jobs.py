from __future__ import annotations

from django.db import migrations, models

from pgqueue.contrib.django.models import view
from pgqueue.contrib.django.schema_file import SchemaFile
from pgqueue.jobs.job import State


class Migration(migrations.Migration):
    dependencies: list[tuple[str, str]] = []
    operations = [
        SchemaFile("0001_jobs"),
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("task", models.TextField()),
                ("state", models.TextField(choices=[(s.value, s.value) for s in State])),
                ("queue", models.TextField()),
                ("key", models.TextField(null=True)),
                ("priority", models.SmallIntegerField()),
                ("args", models.JSONField()),
                ("attempt", models.SmallIntegerField()),
                ("max_attempts", models.SmallIntegerField()),
                ("run_at", models.DateTimeField()),
                ("enqueued_at", models.DateTimeField()),
                ("claimed_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("worker", models.IntegerField(null=True)),
                ("unique_key", models.TextField(null=True)),
                ("reason", models.TextField(null=True)),
                ("result", models.JSONField(null=True)),
                ("errors", models.JSONField(null=True)),
                ("progress", models.JSONField(null=True)),
                ("metadata", models.JSONField(null=True)),
                ("workflow", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": view(),
                "permissions": (
                    ("cancel_job", "Can cancel jobs"),
                    ("retry_job", "Can retry jobs"),
                ),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    ]
