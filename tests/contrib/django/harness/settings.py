"""Settings of a project whose database the outer test names."""

from __future__ import annotations

import os

from django import VERSION
from psycopg.conninfo import conninfo_to_dict

URL = os.environ["HARNESS_DATABASE"]
SECRET_KEY = "harness"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "pgqueue.contrib.django",
    "harness.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "harness.urls"

if URL.startswith("postgresql"):
    known = conninfo_to_dict(URL)
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": known["dbname"],
            "USER": known.get("user", ""),
            "PASSWORD": known.get("password", ""),
            "HOST": known.get("host", ""),
            "PORT": known.get("port", ""),
            "TEST": {"NAME": os.environ["HARNESS_TEST_DATABASE"]},
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": URL,
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
            "TEST": {"NAME": f"{URL}.test"},
        }
    }
DATABASES["other"] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": os.environ["HARNESS_OTHER_DATABASE"],
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
    "TEST": {"NAME": f"{os.environ['HARNESS_OTHER_DATABASE']}.test"},
}
TASKS = {
    "default": {
        "BACKEND": "pgqueue.contrib.django.PgqueueBackend",
        "QUEUES": ["default", "mail"],
    }
}
if VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")
