from django.db import migrations, models


class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel(
            "Order",
            [
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("book", models.TextField()),
                ("receipts", models.IntegerField(default=0)),
            ],
        )
    ]
