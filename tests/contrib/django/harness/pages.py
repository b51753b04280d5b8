"""The admin's pages and `manage.py pgqueue`, for a Django project."""

from __future__ import annotations

import asyncio
import io
import os
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any
from unittest import mock

from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test import TestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext
from harness.shop import tasks

from pgqueue import NewJob, enqueue
from pgqueue.contrib.django.models import Job
from pgqueue.contrib.django.testing import JobsMixin

LIST = "/admin/pgqueue/job/"


class Admin(JobsMixin, TestCase):
    """Who may see jobs, and who may change what becomes of them."""

    def login(self, *permissions: str) -> None:
        user = User.objects.create_user("ada", is_staff=True)
        for codename in permissions:
            user.user_permissions.add(Permission.objects.get(codename=codename))
        self.client.force_login(user)

    def act(self, action: str, *ids: str) -> Any:
        given = {"action": action, "_selected_action": ids}
        return self.client.post(LIST, given, follow=True)

    def test_the_list_is_read_without_counting_all(self) -> None:
        self.login("view_job")
        result = tasks.send_receipt.enqueue(7)
        with CaptureQueriesContext(connection) as asked:
            page = self.client.get(LIST)
        self.assertContains(page, "harness.shop.tasks.send_receipt")
        self.assertContains(page, f"{LIST}{result.id}/change/")
        of_jobs = [each["sql"] for each in asked.captured_queries if "pgqueue" in each["sql"]]
        self.assertEqual(len(of_jobs), 2)
        self.assertIn(" LIMIT 1001", of_jobs[0])
        for sql in of_jobs:
            self.assertNotIn("COUNT(", sql)
            self.assertNotIn("args", sql)

    def test_a_job_has_a_page_that_says_why(self) -> None:
        self.login("view_job")
        result = tasks.flaky.enqueue()
        page = self.client.get(f"{LIST}{result.id}/change/")
        self.assertContains(page, f"job {result.id} (harness.shop.tasks.flaky)")
        self.assertNotContains(page, "_save")

    def test_searches_by_id_and_by_a_tasks_whole_name(self) -> None:
        self.login("view_job")
        first, second = tasks.flaky.enqueue(), tasks.render.enqueue(7)
        found = self.client.get(LIST, {"q": first.id})
        self.assertContains(found, "tasks.flaky")
        self.assertNotContains(found, "tasks.render")
        found = self.client.get(LIST, {"q": "harness.shop.tasks.render"})
        self.assertContains(found, f"{LIST}{second.id}/change/")
        self.assertNotContains(found, "tasks.flaky")
        self.assertContains(self.client.get(LIST, {"q": "9" * 40}), "0 jobs")

    def test_who_may_cancel_does(self) -> None:
        self.login("view_job", "cancel_job")
        result = tasks.flaky.enqueue()
        self.assertContains(self.act("cancel", result.id), "1 cancelled, 0 asked to stop")
        result.refresh()
        self.assertEqual(result.status, "FAILED")
        self.assertIn("cancelled by ada", result.errors[0].traceback)
        self.act("retry", result.id)
        result.refresh()
        self.assertEqual(result.status, "FAILED")

    def test_who_may_retry_does(self) -> None:
        self.login("view_job", "retry_job")
        result = tasks.remind.enqueue(0)
        self.jobs.drain(raising=False)
        self.assertContains(self.act("retry", result.id), "1 asked to run")
        result.refresh()
        self.assertEqual(result.status, "READY")
        self.act("cancel", result.id)
        result.refresh()
        self.assertEqual(result.status, "READY")

    def test_who_may_not_see_them_does_not(self) -> None:
        self.login()
        self.assertEqual(self.client.get(LIST).status_code, 403)

    def test_nobody_adds_changes_or_deletes(self) -> None:
        User.objects.create_superuser("root")
        self.client.force_login(User.objects.get(username="root"))
        result = tasks.flaky.enqueue()
        self.assertEqual(self.client.get(f"{LIST}add/").status_code, 403)
        self.assertEqual(self.client.get(f"{LIST}{result.id}/delete/").status_code, 403)
        with self.assertRaises(TypeError):
            Job.objects.get(pk=result.id).save()


class Commands(TransactionTestCase):
    """pgqueue's commands, on the database of the settings."""

    databases = ("default", "other")

    def setUp(self) -> None:
        self.enterContext(mock.patch.dict(os.environ))

    def told(self, *arguments: str) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            call_command("pgqueue", *arguments)
        return out.getvalue()

    def test_status_and_jobs(self) -> None:
        result = tasks.flaky.enqueue()
        self.assertIn('"default"', self.told("status", "--json"))
        self.assertIn("harness.shop.tasks.flaky", self.told("jobs", "show", result.id, "--json"))

    def test_another_databases_queue(self) -> None:
        with transaction.atomic(using="other"):
            enqueue(connections["other"], NewJob("harness.shop.tasks.in_german"))
        self.assertIn(
            '"harness.shop.tasks.in_german"',
            self.told("--database", "other", "jobs", "list", "--json"),
        )
        self.assertNotIn('"harness.shop.tasks.in_german"', self.told("jobs", "list", "--json"))
        queue_of_other = import_module("pgqueue.contrib.django.worker").other
        asyncio.run(queue_of_other.run_worker(drain=True))
        self.assertIn('"completed"', self.told("--database", "other", "jobs", "list", "--json"))
        with self.assertRaisesMessage(CommandError, "DATABASES has no 'nowhere'"):
            self.told("--database", "nowhere", "status")

    def test_a_failure_is_one(self) -> None:
        with self.assertRaises(CommandError) as raised:
            self.told("jobs", "show", "99")
        self.assertEqual(raised.exception.returncode, 1)

    def test_migrate_finds_what_django_has_made(self) -> None:
        self.assertIn("as needed", self.told("migrate"))

    def test_flush_asks_and_takes_no_for_an_answer(self) -> None:
        tasks.flaky.enqueue()
        with mock.patch("builtins.input", return_value="no"):
            call_command("flush", stdout=io.StringIO())
        self.assertEqual(Job.objects.count(), 1)
        with mock.patch("builtins.input", return_value="yes"):
            call_command("flush", stdout=io.StringIO())
        self.assertEqual(Job.objects.count(), 0)

    def test_the_url_has_what_a_worker_needs(self) -> None:
        from pgqueue.contrib.django.database import url_of

        name = connection.settings_dict["NAME"]
        self.assertIn(os.path.basename(str(name)), url_of("default"))  # noqa: PTH119
