"""Where what is."""

from django.contrib import admin
from django.urls import path

from shop import views

urlpatterns = [
    path("orders", views.place),
    path("orders/<int:order_id>/invoice", views.invoice),
    path("admin/", admin.site.urls),
]
