from django.db import models


class Order(models.Model):
    book = models.TextField()
    receipts = models.IntegerField(default=0)
