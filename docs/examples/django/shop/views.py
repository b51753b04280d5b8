"""The shop's HTTP side."""

import json

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from pgqueue.contrib.django import app
from pgqueue.errors import ResultTimeout
from shop.models import Order
from shop.tasks import TOMORROW, mail_invoice, remind, render_invoice


@csrf_exempt
@require_POST
def place(request: HttpRequest) -> HttpResponse:
    """The order and its jobs exist together, or not at all."""
    with transaction.atomic():
        order = Order.objects.create(**json.loads(request.body))
        pdf = render_invoice.enqueue(order.pk, order.customer)
        mail_invoice.using(after=pdf).enqueue(order.pk)
        remind.using(run_after=TOMORROW).enqueue(order.pk)
        order.invoice = pdf.id
        order.save()
    return JsonResponse({"id": order.pk}, status=201)


@require_GET
def invoice(request: HttpRequest, order_id: int) -> HttpResponse:
    """Wait for the file, for five seconds at most."""
    order = get_object_or_404(Order, pk=order_id)
    try:
        return HttpResponse(app.result(int(order.invoice), timeout=5))
    except ResultTimeout:
        return JsonResponse({"job": order.invoice}, status=202)
