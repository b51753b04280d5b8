from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("customer", models.TextField()),
                ("cents", models.IntegerField()),
                ("paid", models.BooleanField(default=False)),
                ("invoice", models.TextField(default="")),
            ],
        )
    ]
