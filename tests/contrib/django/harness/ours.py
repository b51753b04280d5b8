"""What we promise to a Django project, on its own connection."""

from __future__ import annotations

import asyncio
import io
import os
from datetime import timedelta
from typing import Any
from unittest import mock

from django.core import checks
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import TestCase, TransactionTestCase, override_settings
from django.utils import timezone, translation
from harness.backends import work
from harness.shop import tasks
from harness.shop.models import Order

from pgqueue import enqueue, execute
from pgqueue.contrib.django.models import Job
from pgqueue.contrib.django.tasks_api import (
    InvalidTask,
    TaskResultStatus,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from pgqueue.contrib.django.testing import DjangoJobs, JobsMixin
from pgqueue.errors import SchemaMissing
from pgqueue.operations import inspections

READY, RUNNING = TaskResultStatus.READY, TaskResultStatus.RUNNING
FAILED, SUCCESSFUL = TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL


def run(*queues: str) -> None:
    tasks.ran.clear()
    work(task_backends["default"], *(queues or ("default", "mail")))


class InItsTransaction(TransactionTestCase):
    """A job exists if, and only if, Django's transaction commits."""

    def test_a_commit_keeps_it(self) -> None:
        with transaction.atomic():
            order = Order.objects.create(book="Emma")
            result = tasks.send_receipt.enqueue(order.id)
            self.assertEqual(result.status, READY)
        run()
        result.refresh()
        self.assertEqual((result.status, result.return_value), (SUCCESSFUL, order.id))
        order.refresh_from_db()
        self.assertEqual(order.receipts, 1)

    def test_a_rollback_takes_it_away(self) -> None:
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            result = tasks.send_receipt.enqueue(1)
            self.assertEqual(Job.objects.get().pk, int(result.id))
            1 / 0  # noqa: B018
        self.assertFalse(Job.objects.exists())

    def test_so_does_a_savepoints(self) -> None:
        with transaction.atomic():
            kept = tasks.send_receipt.enqueue(1)
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                tasks.send_receipt.enqueue(2)
                1 / 0  # noqa: B018
        self.assertEqual([job.pk for job in Job.objects.all()], [int(kept.id)])

    def test_after_an_error_inside_nothing_is_enqueued(self) -> None:
        with self.assertRaises(transaction.TransactionManagementError), transaction.atomic():
            try:
                with transaction.atomic(savepoint=False):
                    raise ZeroDivisionError
            except ZeroDivisionError:
                tasks.send_receipt.enqueue(1)
        self.assertFalse(Job.objects.exists())

    def test_outside_one_it_is_there_at_once_by_one_query(self) -> None:
        with self.assertNumQueries(1) as asked:
            result = tasks.send_receipt.using(priority=5).enqueue(7, note="100 %")
        self.assertIn("pgqueue", asked.captured_queries[0]["sql"])
        with self.assertNumQueries(1):
            self.assertEqual(
                task_backends["default"].get_result(result.id).enqueued_at, result.enqueued_at
            )

    def test_inside_one_it_is_one_query_too(self) -> None:
        with transaction.atomic(), self.assertNumQueries(1):
            tasks.send_receipt.enqueue(7)

    def test_execute_wrappers_see_it(self) -> None:
        seen = []

        def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            seen.append(sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(wrapper):
            tasks.send_receipt.enqueue(7)
        self.assertEqual(len(seen), 1)

    def test_the_other_way_in_is_the_same(self) -> None:
        with transaction.atomic():
            native = enqueue(connection, tasks.native.job(order_id=3))
            first, second = enqueue(
                connection,
                [tasks.native.job(order_id=4), tasks.native.job(order_id=5).after(native)],
            )
            transaction.set_rollback(True)
        self.assertFalse(Job.objects.exists())
        native = enqueue(connection, tasks.native.job(order_id=3))
        child = enqueue(connection, tasks.native.job(order_id=4).after(native))
        found = execute(connection, inspections.get([native, child, first, second]))
        self.assertEqual([job.state for job in found.values()], ["available", "blocked"])

    def test_a_unique_job_answers_with_the_one_that_waits(self) -> None:
        first = tasks.render.enqueue(7)
        with transaction.atomic():
            second = tasks.render.enqueue(order_id=7, pages=9)
        self.assertEqual(second.id, first.id)
        self.assertEqual((second.args, second.kwargs), ([7], {}))
        self.assertNotEqual(tasks.render.enqueue(8).id, first.id)
        self.assertEqual(Job.objects.get(pk=first.id).key, "7")
        self.assertNotEqual(tasks.once.enqueue(1).id, tasks.once.enqueue(2, a=1).id)
        self.assertEqual(tasks.once.enqueue(1).id, tasks.once.enqueue(1).id)

    def test_after_waits_for_results(self) -> None:
        order = Order.objects.create(book="Emma")
        with transaction.atomic():
            first = tasks.send_receipt.enqueue(order.id)
            second = tasks.remind.using(after=first).enqueue(order.id)
        self.assertEqual(Job.objects.get(pk=second.id).state, "blocked")
        run()
        second.refresh()
        self.assertEqual(second.return_value, "Emma")

    def test_its_time_may_be_a_duration(self) -> None:
        soon = tasks.send_receipt.using(run_after=timedelta(minutes=5))
        result = soon.enqueue(7)
        job = Job.objects.get(pk=result.id)
        self.assertEqual(job.state, "scheduled")
        self.assertEqual(job.run_at - job.enqueued_at, timedelta(minutes=5))
        again = task_backends["default"].get_result(result.id)
        self.assertEqual(again, result)

    def test_or_an_instant(self) -> None:
        at = timezone.now() + timedelta(days=1)
        result = tasks.send_receipt.using(run_after=at, priority=-7).enqueue(7)
        self.assertEqual(task_backends["default"].get_result(result.id), result)
        self.assertEqual(Job.objects.get().run_at, at)
        self.assertEqual(Job.objects.get().priority, 7)

    def test_what_cannot_be_is_refused_where_it_is_said(self) -> None:
        for wrong in ({"max_attempts": 0}, {"timeout": -1}, {"backoff": "soon"}, {"key": 7}):
            with self.subTest(wrong), self.assertRaises(InvalidTask):
                tasks.send_receipt.using(**wrong)

    @override_settings(USE_TZ=False)
    def test_without_time_zones_instants_are_local(self) -> None:
        result = tasks.send_receipt.enqueue(7)
        self.assertIsNone(result.enqueued_at.tzinfo)
        self.assertLess(abs(timezone.now() - result.enqueued_at), timedelta(minutes=1))


class InAWorker(TransactionTestCase):
    """What a worker does around a job of Django's."""

    def test_a_failing_task_is_tried_as_often_as_it_says(self) -> None:
        jobs = DjangoJobs()
        result = tasks.flaky.enqueue()
        tasks.ran.clear()
        jobs.drain(raising=False)
        result.refresh()
        self.assertEqual(tasks.ran, [(1, 0), (2, 1), (3, 2)])
        self.assertEqual((result.status, result.return_value), (SUCCESSFUL, [3, 3]))
        self.assertEqual(len(result.errors), 2)
        self.assertIs(result.errors[0].exception_class, ConnectionError)
        self.assertEqual(result.attempts, 3)
        self.assertLess(result.started_at, result.last_attempted_at)

    def test_signals_tell_of_each_start_and_of_the_end(self) -> None:
        told: list[tuple[str, str]] = []

        def receive(signal: Any, task_result: Any, **_: Any) -> None:
            told.append((names[signal], task_result.status))

        names = {task_enqueued: "enqueued", task_started: "started", task_finished: "finished"}
        for signal in names:
            signal.connect(receive)
        try:
            tasks.flaky.enqueue()
            DjangoJobs().drain(raising=False)
        finally:
            for signal in names:
                signal.disconnect(receive)
        self.assertEqual(
            told,
            [("enqueued", READY), *[("started", RUNNING)] * 3, ("finished", SUCCESSFUL)],
        )

    def test_an_outcome_is_no_result(self) -> None:
        result = tasks.later.enqueue()
        run()
        result.refresh()
        self.assertEqual((result.status, result.attempts), (READY, 0))

    def test_coroutines_have_a_thread_and_a_connection_each(self) -> None:
        tasks.all_there = asyncio.Event()
        results = [tasks.whose_connection.enqueue(5) for _ in range(5)]
        run()
        threads = set()
        for result in results:
            result.refresh()
            first, second = result.return_value
            self.assertEqual(first, second)
            threads.add(first)
        self.assertEqual(len(threads), 5)

    def test_a_process_of_the_pool_has_django_set_up(self) -> None:
        order = Order.objects.create(book="Emma")
        handle = enqueue(connection, tasks.in_a_process.job(order.id))
        with mock.patch.dict(os.environ, DJANGO_SETTINGS_MODULE="harness.worker_settings"):
            run()
        self.assertEqual(Job.objects.get(pk=handle.id).result, "Emma")

    def test_a_context_knows_its_worker(self) -> None:
        result = tasks.whose.enqueue()
        run()
        result.refresh()
        self.assertEqual(result.return_value, result.worker_ids)
        self.assertEqual(int(result.worker_ids[0]), Job.objects.get().worker)

    def test_language_and_time_zone_are_each_jobs_own(self) -> None:
        results = [tasks.in_german.enqueue() for _ in range(4)]
        with translation.override("fr"), timezone.override("Europe/Paris"):
            run()
        for result in results:
            result.refresh()
            self.assertEqual(result.return_value, "en-us America/Chicago")

    def test_sql_enqueues_one_by_its_path(self) -> None:
        order = Order.objects.create(book="Emma")
        if connection.vendor != "postgresql":
            self.skipTest("SQLite has no such function")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pgqueue.enqueue('harness.shop.tasks.send_receipt', "
                "jsonb_build_object('order_id', %s::bigint))",
                [order.id],
            )
            [[id]] = cursor.fetchall()
        run()
        self.assertEqual(task_backends["default"].get_result(str(id)).return_value, order.id)

    def test_what_is_no_task_is_not_called(self) -> None:
        from pgqueue import NewJob

        handle = enqueue(connection, NewJob("subprocess.check_output", '{"*": [["exit"]]}'))
        run()
        self.assertIn(Job.objects.get(pk=handle.id).state, ("scheduled", "available"))

    def test_a_module_that_fails_does_not_stop_the_others(self) -> None:
        from pgqueue import NewJob

        with self.assertLogs("pgqueue.django", "ERROR"):
            broken = enqueue(connection, NewJob("harness.shop.broken.task"))
            good = tasks.later.enqueue(), tasks.in_german.enqueue()
            run()
        good[1].refresh()
        self.assertEqual(good[1].status, SUCCESSFUL)
        self.assertIn(Job.objects.get(pk=broken.id).state, ("scheduled", "available"))

    def test_jobs_do_not_leak_between_tests(self) -> None:
        tasks.send_receipt.enqueue(1)
        call_command("flush", interactive=False, verbosity=0)
        self.assertFalse(Job.objects.exists())
        tasks.send_receipt.enqueue(1)  # the tables are still there


class InATestCase(JobsMixin, TestCase):
    """What a project's own tests see, inside their rollback."""

    def test_asserts_by_name_and_drains(self) -> None:
        order = Order.objects.create(book="Emma")
        result = tasks.send_receipt.enqueue(order.id)
        self.jobs.assert_enqueued(tasks.send_receipt, order_id=order.id, note="")
        with self.assertRaises(AssertionError):
            self.jobs.assert_enqueued(tasks.send_receipt, order_id=order.id + 1)
        with self.assertRaisesMessage(TypeError, "did you mean order_id"):
            self.jobs.assert_enqueued(tasks.send_receipt, order=1)
        [ran] = self.jobs.drain()
        self.assertEqual(ran.result, order.id)
        self.jobs.refute_enqueued()
        order.refresh_from_db()
        self.assertEqual(order.receipts, 1)
        result.refresh()
        self.assertEqual(result.status, SUCCESSFUL)

    def test_coroutines_see_the_tests_rows(self) -> None:
        order = Order.objects.create(book="Emma")
        tasks.remind.enqueue(order_id=order.id)
        [ran] = self.jobs.drain()
        self.assertEqual(ran.result, "Emma")

    def test_an_error_undoes_what_the_task_wrote_and_not_the_test(self) -> None:
        Order.objects.create(book="Emma")
        tasks.remind.enqueue(order_id=0)
        with self.assertRaises(Order.DoesNotExist):
            self.jobs.drain()
        self.assertEqual(Order.objects.count(), 1)

    def test_the_apps_own_tasks_too(self) -> None:
        from pgqueue.contrib.django import app

        order = Order.objects.create(book="Emma")
        app.enqueue(tasks.native.job(order_id=order.id))
        self.jobs.assert_enqueued(tasks.native, order_id=order.id)
        [ran] = self.jobs.drain()
        self.assertEqual(ran.result, 1)

    async def test_in_a_coroutine(self) -> None:
        result = await tasks.send_receipt.aenqueue(order_id=1)
        await result.arefresh()
        self.assertEqual(result.status, READY)


OTHER = {"BACKEND": "pgqueue.contrib.django.PgqueueBackend", "OPTIONS": {"database": "other"}}


class Nowhere:
    """A router that keeps the queue out of a database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if (db, app_label) == ("other", "pgqueue") else None


class InAnotherDatabase(TransactionTestCase):
    """OPTIONS name the database whose transaction a job belongs to."""

    databases = ("default", "other")

    def jobs(self) -> int:
        return len(execute(connections["other"], inspections.list_jobs()))

    @override_settings(TASKS={"default": OTHER})
    def test_jobs_are_in_the_transaction_of_that_one(self) -> None:
        with transaction.atomic(using="other"):
            tasks.send_receipt.enqueue(7)
            transaction.set_rollback(True, using="other")
        with transaction.atomic(using="default"):
            result = tasks.send_receipt.enqueue(7)
            transaction.set_rollback(True, using="default")
        self.assertEqual(self.jobs(), 1)
        self.assertEqual(task_backends["default"].get_result(result.id), result)

    def test_flush_empties_it(self) -> None:
        enqueue(connections["other"], tasks.native.job(order_id=1))
        call_command("flush", database="other", interactive=False, verbosity=0)
        self.assertEqual(self.jobs(), 0)

    def test_a_router_keeps_the_tables_away(self) -> None:
        call_command("migrate", "pgqueue", "zero", database="other", verbosity=0)
        try:
            with override_settings(DATABASE_ROUTERS=["harness.ours.Nowhere"]):
                call_command("migrate", "pgqueue", database="other", verbosity=0)
            self.assertNotIn("pgqueue_job", connections["other"].introspection.table_names())
        finally:
            call_command("migrate", "pgqueue", "zero", database="other", fake=True, verbosity=0)
            call_command("migrate", "pgqueue", database="other", verbosity=0)
        self.assertIn("pgqueue_job", connections["other"].introspection.table_names())


class Migrating(TransactionTestCase):
    """The tables come and go by Django's own commands."""

    def test_there_is_nothing_to_make(self) -> None:
        call_command("makemigrations", "pgqueue", check=True, dry_run=True, verbosity=0)

    def test_zero_and_back(self) -> None:
        call_command("migrate", "pgqueue", "zero", verbosity=0)
        try:
            with self.assertRaises(SchemaMissing):
                tasks.send_receipt.enqueue(1)
            found = checks.run_checks(databases=["default"])
            self.assertEqual([each.id for each in found], ["pgqueue.W002"])
        finally:
            call_command("migrate", "pgqueue", verbosity=0)
        tasks.send_receipt.enqueue(1)
        self.assertEqual(checks.run_checks(databases=["default"]), [])

    def test_a_queue_that_is_there_is_taken_over(self) -> None:
        result = tasks.send_receipt.enqueue(1)
        call_command("migrate", "pgqueue", "zero", fake=True, verbosity=0)
        call_command("migrate", "pgqueue", verbosity=0)
        self.assertEqual(task_backends["default"].get_result(result.id), result)

    def test_sqlmigrate_shows_the_file(self) -> None:
        out = io.StringIO()
        call_command("sqlmigrate", "pgqueue", "0001", stdout=out)
        self.assertIn("CREATE TABLE pgqueue", out.getvalue())


class Checking(TestCase):
    """Settings that cannot work are told before a job is lost over it."""

    def errors(self, **options: Any) -> list[str]:
        backend = "pgqueue.contrib.django.PgqueueBackend"
        with override_settings(TASKS={"default": {"BACKEND": backend, "OPTIONS": options}}):
            return [each.id for each in task_backends["default"].check()]

    def test_good_ones(self) -> None:
        self.assertEqual(self.errors(max_attempts=3, timeout=5.0), [])

    def test_bad_ones(self) -> None:
        self.assertEqual(self.errors(atempts=3), ["pgqueue.E002"])
        self.assertEqual(self.errors(max_attempts="3"), ["pgqueue.E002"])
        self.assertEqual(self.errors(database="nowhere"), ["pgqueue.E003"])
        self.assertEqual(self.errors(schema="No Name"), ["pgqueue.E005"])
