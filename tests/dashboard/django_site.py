"""A Django project with the dashboard in its urls; prints what it answers, as JSON.

`python -m tests.dashboard.django_site FOLDER`, in a process of its own: settings are made once.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path

HOST = "shop.example"


def main(folder: str) -> dict[str, Any]:
    settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=[HOST, "testserver"],
        ROOT_URLCONF="shop_urls",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django_tasks",
            "pgqueue.contrib.django",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/shop.db"}
        },
        TASKS={"default": {"BACKEND": "pgqueue.contrib.django.PgqueueBackend"}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )
    django.setup()
    from django.contrib import admin

    urls = types.ModuleType("shop_urls")  # made now: the admin's addresses need the settings
    urls.urlpatterns = [  # type: ignore[attr-defined]
        path("admin/", admin.site.urls),
        path("queue/", include("pgqueue.contrib.django.dashboard")),
    ]
    sys.modules["shop_urls"] = urls
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import Permission, User

    from pgqueue import NewJob
    from pgqueue.contrib.django.queue_app import default_app

    job = default_app().enqueue(NewJob("send", queue="mail"))
    User.objects.create_superuser("root", password="x")
    staff = User.objects.create_user("ann", password="x", is_staff=True)
    staff.user_permissions.add(*Permission.objects.filter(codename__in=["view_job", "retry_job"]))
    User.objects.create_user("bob", password="x", is_staff=True)
    return {
        "wsgi": asked(Client(enforce_csrf_checks=True, headers={"host": HOST}), job.id),
        "asgi": asyncio.run(asked_async(job.id)),
    }


def asked(client: Client, job: int) -> dict[str, Any]:
    """What each of them is answered."""
    told: dict[str, Any] = {"stranger": client.get("/queue/").status_code}
    for user in ("bob", "ann", "root"):
        client.login(username=user, password="x")
        told[user] = client.get(f"/queue/jobs/{job}").status_code
    page = client.get("/queue/").content.decode()
    links = re.findall(r'(?:href|src|action)="([^"]+)"', page)
    told["links"] = [link for link in links if not link.startswith(("/queue/", "#"))]
    told["style"] = client.get("/queue/static/style.css").status_code
    told["stream"] = client.get("/queue/live/").status_code
    foreign = {"sec-fetch-site": "cross-site"}
    told["foreign"] = client.post("/queue/cancel", {"id": job}, headers=foreign).status_code
    own = {"sec-fetch-site": "same-origin"}
    told["cancel"] = client.post("/queue/cancel", {"id": job}, headers=own)["location"]
    client.login(username="ann", password="x")
    told["not hers"] = client.post("/queue/cancel", {"id": job}, headers=own).status_code
    told["hers"] = client.post("/queue/retry", {"id": job}, headers=own)["location"]
    with override_settings(ALLOWED_HOSTS=["other.example"]):
        told["host"] = client.get("/queue/").status_code
    return told


async def asked_async(job: int) -> dict[str, Any]:
    """The same through Django's ASGI handler, in short."""
    client = AsyncClient()
    told: dict[str, Any] = {"stranger": (await client.get("/queue/")).status_code}
    await client.alogin(username="root", password="x")
    told["root"] = (await client.get(f"/queue/jobs/{job}")).status_code
    own = {"sec-fetch-site": "same-origin"}
    answer = await client.post("/queue/cancel", {"id": job}, headers=own)
    return told | {"cancel": answer["location"]}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
