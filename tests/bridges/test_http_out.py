"""Webhooks go to a real server over TLS, signed; to addresses that are not public they do not."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from pgqueue import App
from pgqueue.bridges import (
    Again,
    Delivered,
    Message,
    Never,
    Unreachable,
    http,
    http_lines,
    webhooks,
)
from pgqueue.bridges.http_lines import EndpointLine, refuse_private
from pgqueue.bridges.sender import Sender
from pgqueue.jobs.job import State
from tests.bridges.conftest import Work
from tests.bridges.running import listed, until_ended
from tests.valkey import free_port
from tests.worker.process import soon

KEYS = [f"whsec_{base64.b64encode(bytes([n]) * 24).decode()}" for n in range(2)]


@dataclass
class Server:
    """What came, and what it is to answer: (status, headers, text)."""

    url: str
    cafile: str
    answer: tuple[int, dict[str, str], str] = (204, {}, "")
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.came.append((headers, await request.read()))
        status, headers, text = self.answer
        return web.Response(status=status, headers=headers, text=text)

    def endpoint(self, **options: Any) -> http.Endpoint:
        return http.Endpoint(self.url, cafile=self.cafile, **options)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def server(authority: trustme.CA, tmp_path: Path) -> AsyncIterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Server(f"https://localhost:{free_port()}/hook", str(tmp_path / "ca.pem"))
    application = web.Application()
    application.router.add_post("/hook", server.take)
    runner = web.AppRunner(application)
    await runner.setup()
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    await web.TCPSite(runner, "localhost", port, ssl_context=context).start()
    yield server
    await runner.cleanup()


async def test_a_webhook_is_signed_with_each_key_and_can_be_verified(
    app: App, work: Work, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRETS", " ".join(KEYS))
    hooks = app.outlet("hooks", server.endpoint(secrets="env:HOOK_SECRETS"))
    await work()

    await app.enqueue_async(hooks.message({"a": 1}, id="m1", type="made", headers={"x-a": "b"}))
    await until_ended(app, 1)

    [(headers, body)] = server.came
    assert body == b'{"a":1}'
    assert (headers["webhook-id"], headers["webhook-type"], headers["x-a"]) == ("m1", "made", "b")
    for key in KEYS:
        assert webhooks.verified(headers, body, key) == "m1"
    with pytest.raises(ValueError, match="not ours"):
        webhooks.verified(headers, body + b" ", KEYS[0])
    with pytest.raises(ValueError, match="too old"):
        webhooks.verified(headers, body, KEYS[0], now=float(headers["webhook-timestamp"]) + 301)


def test_a_signature_is_the_one_that_the_standard_shows() -> None:
    key = webhooks.keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'

    signed = webhooks.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ((201, {}, ""), Delivered()),
        ((410, {}, "no more"), Never("410 Gone: no more")),
        ((302, {"Location": "http://127.0.0.1/"}, ""), Again("302 Found")),
        ((500, {}, "x" * 5_000), Again("500 Internal Server Error: " + "x" * 1_024)),
        ((503, {}, ""), Again("503 Service Unavailable")),
    ],
)
async def test_an_answer_means_what_its_status_says(
    server: Server, answer: tuple[int, dict[str, str], str], meaning: object
) -> None:
    server.answer = answer
    line = await server.endpoint().open()

    [told] = await line.send([Message(id="1", body=b"{}")])

    assert told == meaning
    assert len(server.came) == 1  # no redirect was followed
    await line.close()


async def test_retry_after_costs_no_attempt(app: App, work: Work, server: Server) -> None:
    server.answer = (429, {"Retry-After": "3600"}, "slow down")
    hooks = app.outlet("hooks", server.endpoint())
    await work()

    await app.enqueue_async(hooks.message(1))
    [job] = await soon(lambda: [job for job in listed(app) if job.state == State.SCHEDULED])

    assert job.attempt == 0
    assert (job.run_at - job.enqueued_at).total_seconds() > 3_500


async def test_an_endpoint_of_ours_that_is_away_shuts_the_gate(server: Server) -> None:
    sender = Sender(http.Endpoint(f"http://user:secret@127.0.0.1:{free_port()}/"))

    with pytest.raises(Unreachable) as told:
        await sender.send(Message(id="1", body=b""))

    assert sender.shut_since is not None
    assert "secret" not in str(told.value)
    await sender.close()


async def test_a_strangers_url_never_leads_inside(
    app: App, work: Work, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves = asyncio.BaseEventLoop.getaddrinfo

    async def rebound(loop: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
        return await resolves(
            loop, "169.254.169.254" if host == "nice.test" else host, *args, **kwargs
        )

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", rebound)
    hooks = app.outlet("hooks", http.Endpoint(cafile=server.cafile))
    port = server.url.rpartition(":")[2]
    urls = [
        "http://169.254.169.254/latest/meta-data",
        "http://nice.test/latest",
        "http://2852039166/latest",
        "http://[::ffff:169.254.169.254]/latest",
        f"https://localhost:{port}",
        f"https://127.0.0.1:{port}",
    ]
    await app.enqueue_async([hooks.message(1, to=url) for url in urls])

    async with asyncio.timeout(30):
        line = await EndpointLine.to(http.Endpoint(cafile=server.cafile))
        answers = await line.send([Message(id="1", body=b"", to=url) for url in urls])
        await line.close()
    assert [type(answer) for answer in answers] == [Never] * len(urls)
    await work()
    found = await until_ended(app, len(urls))

    assert {job.state for job in found} == {State.DISCARDED}
    refused = [job.reason or "" for job in found]
    assert all("not a public" in why or "not a canonical" in why for why in refused)
    assert server.came == []


@pytest.fixture
def here_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine passes for the Internet, so that a stranger's URL reaches the server."""

    def refuse(number: str, host: str) -> None:
        if number not in ("127.0.0.1", "::1"):
            refuse_private(number, host)

    monkeypatch.setattr(http_lines, "refuse_private", refuse)


async def test_a_strangers_name_that_means_another_address_a_moment_later_leads_nowhere_else(
    server: Server, here_is_public: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves, asked = asyncio.BaseEventLoop.getaddrinfo, list[str]()

    async def rebinding(loop: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "localhost":  # what the stranger's name server says: the second time the inside
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return await resolves(loop, host, *args, **kwargs)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", rebinding)
    server.answer = (204, {"Connection": "close"}, "")  # so each request makes a connection
    line = await EndpointLine.to(http.Endpoint(cafile=server.cafile))

    [first] = await line.send([Message(id="1", body=b"", to=server.url)])
    [second] = await line.send([Message(id="2", body=b"", to=server.url)])

    assert first == Delivered()  # looked up once: the address that was checked is the one used
    assert isinstance(second, Never)
    assert "localhost is 169.254.169.254, which is not a public address" in second.why
    assert (len(asked), len(server.came)) == (2, 1)
    await line.close()


async def test_a_strangers_redirect_to_the_inside_is_not_followed(
    app: App, work: Work, server: Server, here_is_public: None
) -> None:
    inside = Server(f"http://127.0.0.1:{free_port()}/", "")
    application = web.Application()
    application.router.add_route("*", "/{any:.*}", inside.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(inside.url.split(":")[2].strip("/"))).start()
    hooks = app.outlet("hooks", http.Endpoint(cafile=server.cafile), max_attempts=1)
    await work()
    ended = 0
    for status, place in (
        (301, "http://169.254.169.254/latest/meta-data"),
        *((status, inside.url) for status in (302, 303, 307, 308)),
    ):
        server.answer = (status, {"Location": place}, "")
        ended += 1
        await app.enqueue_async(hooks.message(status, to=server.url))
        job = (await until_ended(app, ended))[-1]

        assert job.state == State.DISCARDED
        assert job.errors[0].message.startswith(f"{status} ")
    assert len(server.came) == ended
    assert inside.came == []
    await runner.cleanup()


@pytest.mark.parametrize(
    "number",
    [
        *("10.0.0.1", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a00:1::"),
    ],
)
def test_only_public_addresses_are_for_strangers(number: str) -> None:
    with pytest.raises(OSError, match="is not a public address"):
        refuse_private(number, "host")
    refuse_private("93.184.215.14", "host")
    refuse_private("2606:2800:21f:cb07:6820:80da:af6b:8b2c", "host")


@pytest.mark.parametrize(
    ("endpoint", "to", "why"),
    [
        (http.Endpoint(), None, "give the URL"),
        (http.Endpoint(), "ftp://a/", "give the URL"),
        (http.Endpoint(), "https://a:b@c/", "a password in the URL would be kept in the job"),
        (http.Endpoint("https://a/"), "https://b/", "has a URL of its own"),
    ],
)
def test_a_url_that_cannot_be_is_refused(endpoint: http.Endpoint, to: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        endpoint.check(Message(id="1", body=b"", to=to))
    assert "https://a/" not in repr(endpoint)
