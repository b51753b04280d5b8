"""An adapter that another distribution brings: found by the scheme of a URL."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue import App
from pgqueue.errors import InvalidTask
from tests.bridges.conftest import Work
from tests.bridges.running import until_ended
from tests.toy.distribution import install_module

ENTRY_POINTS = """[pgqueue.bridges]
folder = folderbridge
halved = folderbridge:Folder
broken = folderbridge:nothing
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = Path(__file__).with_name("folder.py")
    return install_module(tmp_path_factory.mktemp("site"), "folderbridge", module, ENTRY_POINTS)


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The distribution is where this process looks for its packages."""
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("folderbridge", None)


async def test_a_url_leads_out_and_in_by_an_installed_adapter(
    app: App, work: Work, installed: None, had: list[int], tmp_path: Path
) -> None:
    (tmp_path / "spool").mkdir()
    orders = app.outlet("orders", f"folder://{tmp_path}/spool")
    app.inlet("payments", f"FOLDER://{tmp_path}/spool", app.tasks["settle"])
    await work(inlets=True)

    await app.enqueue_async(orders.message({"n": 7}))
    await until_ended(app, 2)

    assert had == [7]
    assert type(orders.sink).__module__ == "folderbridge"
    assert orders.sink.place == "folder spool"


def test_a_url_that_no_adapter_knows_is_refused_and_not_repeated(app: App, installed: None) -> None:
    @app.task
    def settle(n: int) -> None: ...

    for url, why in {
        "kafka://ann:s3cret@host": "no adapter for kafka; installed are broken, folder, halved",
        "ann:s3cret@host": "no adapter for ann; installed are",
        "s3cret": "no adapter for a URL without a scheme",
        "amqps://ann:s3cret@host": "for amqps: give amqp.Exchange, amqp.Queue of pgqueue.bridges",
        "halved://s3cret": "the adapter for halved:, folderbridge:Folder, has no ",
        "broken://s3cret": "the adapter for broken:, folderbridge:nothing: AttributeError",
    }.items():
        for declare in (
            lambda url: app.outlet("orders", url),
            lambda url: app.inlet("payments", url, settle),
        ):
            with pytest.raises(InvalidTask, match=why) as told:
                declare(url)
            assert "s3cret" not in str(told.value)
            assert told.value.__cause__ is None
    assert not app.outlets
    assert not app.inlets


def test_without_any_adapter_the_error_says_how_one_comes(app: App) -> None:
    with pytest.raises(InvalidTask, match=r"none is installed: .* the group pgqueue\.bridges"):
        app.outlet("orders", "folder:///tmp")
