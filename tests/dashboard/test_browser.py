"""In a real Chromium: nothing runs that should not, nothing is fetched from elsewhere, all fits.

Screenshots of every page are left in ``build/screenshots``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App, operations
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from tests.dashboard.conftest import HOSTILE

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
FLAGS = ["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
WIDTHS = (320, 768, 1280, 1440)
PAGES = {
    "overview": "/",
    "jobs": "/jobs",
    "job": "/jobs/{discarded}",
    "failures": "/failures",
    "workflows": "/workflows",
    "workflow": "/workflows/{workflow}",
    "workers": "/workers",
    "queue": "/queues/mail",
    "task": "/tasks/send",
    "edit": "/jobs/{discarded}/edit",
    "enqueue": "/enqueue?task=send",
    "schedules": "/schedules",
    "schedule": "/schedules/digest",
    "limits": "/limits",
    "bridges": "/bridges",
    "audit": "/audit",
    "system": "/system",
}

if CHROMIUM is None:
    assert not os.environ.get("CI"), "install chromium"
    pytest.skip("chromium is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Served:
    """`pgqueue dashboard` in a process of its own, and the link that it printed."""

    def __init__(self, app: App, name: str = "staging", *options: str) -> None:
        command = [sys.executable, "-m", "pgqueue", "dashboard", "--port", "0", "--url", app.url]
        self.process = subprocess.Popen(
            [*command, "--schema", app.schema, "--name", name, *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        self.base = self.link.partition("/enter")[0]
        jobs = app.execute(inspections.list_jobs())
        self.ids = {str(job.state): job.id for job in jobs}
        for flow in app.execute(inspections.workflows()):
            self.ids["workflow"] = flow.id

    def address(self, path: str) -> str:
        return self.base + path.format(**self.ids)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


@pytest.fixture
def served(app: App) -> Iterator[Served]:
    found = Served(app)
    yield found
    found.end()


@pytest.fixture
def context(browser: Any, served: Served) -> Iterator[Any]:
    """A browser that has opened the link."""
    with entered(browser, served) as found:
        yield found


@contextlib.contextmanager
def entered(browser: Any, served: Served, **options: Any) -> Iterator[Any]:
    context = browser.new_context(**options)
    context.new_page().goto(served.link)
    yield context
    context.close()


def watched(context: Any) -> tuple[Any, list[str]]:
    """A page, and what it complained of: console, errors, foreign requests."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith("http://127.0.0.1:") else complaints.append(request.url)
        ),
    )
    return page, complaints


@pytest.mark.timeout(300)
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_every_page_fits_is_accessible_and_runs_nothing(context: Any, served: Served) -> None:
    from axe_playwright_python.sync_playwright import Axe

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page, complaints = watched(context)
    serious: list[str] = []
    for name, path in PAGES.items():
        page.goto(served.address(path))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                across = page.evaluate("document.documentElement.scrollWidth")
                assert across <= width, f"{name} is {across} px across {width}"
                here = page.locator("nav [aria-current]")
                if here.count():
                    right = here.evaluate("a => a.getBoundingClientRect().right")
                    assert right <= width, f"{name}: the page's own link is at {right} of {width}"
                if width in (320, 1440):
                    page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{width}.png")
            found = Axe().run(page).response["violations"]
            serious += [
                f"{name} {scheme}: {rule['id']}: {rule['nodes'][0]['html'][:120]}"
                for rule in found
                if rule["impact"] in ("serious", "critical")
            ]
        assert "owned" not in page.title()

    assert serious == []
    assert complaints == []


def test_hostile_text_is_shown_as_text(context: Any, served: Served) -> None:
    page, complaints = watched(context)
    page.goto(served.address("/jobs/{discarded}"))

    assert HOSTILE[:40] in page.inner_text("main")
    assert "\u202e" not in page.inner_text("main")  # it would turn the text after it around
    assert page.title().startswith("Job")
    assert complaints == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_without_javascript_every_action_works(browser: Any, served: Served) -> None:
    with entered(browser, served, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(served.address("/jobs/{discarded}"))
        page.click("text=Run again")
        assert "1 job will run again" in page.inner_text(".done")

        page.goto(served.address("/jobs"))
        page.check(f"[value='{served.ids['scheduled']}']")
        page.check(f"[value='{served.ids['available']}']")
        page.click("button[formaction$='/cancel']")
        page.click("button:has-text('Cancel 2')")
        assert "2 jobs cancelled" in page.inner_text(".done")

        page.goto(served.address("/"))
        page.click("#queue-default button:has-text('Pause')")
        assert "paused" in page.inner_text("#queue-default")
        page.click("#queue-default button:has-text('Resume')")
        assert "paused" not in page.inner_text("#queue-default")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_change_shows_and_what_somebody_does_stays(
    context: Any, served: Served, app: App
) -> None:
    page = context.new_page()
    page.goto(served.address("/jobs"))
    page.focus("nav a[href='/failures']")
    page.evaluate("window.scrollTo(0, 50)")

    app.execute(operations.cancel([served.ids["scheduled"]]))

    row = f"#job-{served.ids['scheduled']}"
    page.wait_for_selector(f"{row} .cancelled")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/failures"

    page.check(f"{row} input")
    page.wait_for_selector("#live:not([hidden])")
    assert "paused, as of" in page.inner_text("#live")
    assert page.is_checked(f"{row} input")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_another_site_can_neither_post_nor_get_in_by_a_name_of_its_own(
    context: Any, served: Served, app: App
) -> None:
    page = context.new_page()
    port = served.base.rpartition(":")[2]
    answer = page.goto(f"http://evil.example:{port}/")
    assert answer.status == 421

    page = context.new_page()  # a blank one has no policy of ours, and no origin
    page.set_content(
        f"<form method=post action='{served.address('/cancel')}'>"
        f"<input name=id value={served.ids['available']}><button>win</button></form>"
    )
    with page.expect_navigation() as posted:
        page.click("text=win")
    assert posted.value.status == 403
    id = served.ids["available"]
    assert app.execute(inspections.get([id]))[id].state == "available"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_all_of_it_can_be_reached_by_keys(context: Any, served: Served) -> None:
    page = context.new_page()
    page.goto(served.address("/"))

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.inner_text("#clock") == "Times: UTC"
    times = page.locator("main time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", times.first.inner_text())
    page.keyboard.press("?")
    assert page.is_visible("#keys")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys")
    with page.expect_navigation():
        page.keyboard.type("gj")
    assert page.url == served.address("/jobs")
    page.keyboard.press("/")
    with page.expect_navigation():
        page.keyboard.type(f"{served.ids['discarded']}\n")
    assert page.url == served.address("/jobs/{discarded}")
    page.keyboard.press("t")  # the next browser begins with "ago" again
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Run again":
            break
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "1 job will run again" in page.inner_text(".done")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_being_filled_in_stays(context: Any, served: Served, app: App) -> None:
    page = context.new_page()
    page.goto(served.address("/jobs"))
    page.fill("[name=to]", "urgent")
    page.click("h1")
    app.execute(operations.cancel([served.ids["scheduled"]]))
    page.wait_for_selector("#live:not([hidden])")
    assert page.input_value("[name=to]") == "urgent"

    page.fill("[name=to]", "")
    page.select_option("[name=all]", "yes")
    page.click("h1")
    app.execute(operations.cancel([served.ids["available"]]))
    page.wait_for_selector("#live:not([hidden])")
    assert page.input_value("[name=all]") == "yes"

    page.select_option("[name=all]", "")
    page.click("h1")
    page.wait_for_selector(f"#job-{served.ids['scheduled']} .cancelled")
    page.wait_for_selector("#live", state="hidden")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_it_ends_at_once_while_tabs_are_open(context: Any, served: Served) -> None:
    pages = [context.new_page() for _ in range(9)]  # a browser keeps six connections to a host
    for page in pages:
        page.goto(served.address("/jobs"))
    assert all(page.inner_text("h1") == "Jobs" for page in pages)

    began = time.monotonic()
    served.end()

    assert time.monotonic() - began < 5  # two on a quiet machine
    assert served.process.returncode in (0, -signal.SIGTERM)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[App]:
    """A shop on an ordinary day, with a worker."""
    url = f"sqlite:///{tmp_path}/shop.db"
    environment = os.environ | {"SHOP_URL": url, "PGQUEUE_URL": url}
    run = [sys.executable, "-c", "from tests.dashboard.shop import fill; fill()"]
    subprocess.run(run, env=environment, check=True, stderr=subprocess.DEVNULL)
    app = App(url)
    command = [sys.executable, "-m", "pgqueue.worker", "tests.dashboard.shop:app"]
    worker = [*command, "--queues", "api,mail,pdf,reports", "--grace", "0"]
    process = subprocess.Popen(worker, env=environment, stderr=subprocess.DEVNULL)
    while not app.execute(inspections.list_jobs(state=State.RUNNING)):
        assert process.poll() is None
        time.sleep(0.05)
    yield app
    process.send_signal(signal.SIGTERM)
    process.wait()
    app.close()


def test_the_picture_in_the_readme_is_of_a_shop(browser: Any, shop: App) -> None:
    """Left as ``build/screenshots/dashboard.png``; docs/dashboard.png is a copy of it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    picture = SCREENSHOTS / "dashboard.png"
    served = Served(shop, "shop")
    viewport = {"width": 1360, "height": 760}
    try:
        with entered(browser, served, viewport=viewport, color_scheme="light") as context:
            page = context.new_page()
            page.goto(served.address("/"))
            assert page.inner_text("#queue-api .running") == "8"
            page.screenshot(path=picture)
    finally:
        served.end()
    assert picture.stat().st_size < 200_000
