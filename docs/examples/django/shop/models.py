"""The shop's own tables."""

from django.db import models


class Order(models.Model):
    customer = models.TextField()
    cents = models.IntegerField()
    paid = models.BooleanField(default=False)
    invoice = models.TextField(default="")
    """The id of the job that makes it, which is known when it is enqueued."""

    def __str__(self) -> str:
        return f"order {self.pk}"
