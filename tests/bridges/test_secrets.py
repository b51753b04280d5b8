"""No connection that fails tells a secret: not in a log, an error, a job, or what a command prints.

Every adapter, in each of its directions, is led to places that fail in each way that there is.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pgqueue import App
from pgqueue.bridges import Unreachable, amqp, celery, http, sns, sqs
from pgqueue.bridges.aws_lines import Client
from tests.bridges.rabbit import Rabbit
from tests.bridges.running import listed, working
from tests.cli.terminal import Terminal
from tests.worker.process import soon

SECRET = "s3cr3t"
NOBODY = f"ann:{SECRET}@127.0.0.1:1"
TOKEN = "x-amz-security-token"


@dataclass
class Servers:
    """Places that answer, and how: *nonsense* to everybody; *denial*, with what was sent, as AWS
    does when a signature is wrong."""

    nonsense: str = ""
    denial: str = ""
    tokens: list[str] = field(default_factory=list)

    async def babble(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    async def deny(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        sent = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(sent.get("content-length", 0)))
        self.tokens.append(sent.get(TOKEN, ""))
        code = "SignatureDoesNotMatch"
        why = f"wrong; {TOKEN}:{sent.get(TOKEN)}\n{TOKEN}:{sent.get(TOKEN)}"
        if "json" in sent.get("content-type", ""):
            escaped = why.replace("\n", "\\n")
            body = f'{{"__type": "com.amazonaws.sqs#{code}", "message": "{escaped}"}}'
        else:
            error = f"<Error><Code>{code}</Code><Message>{why}</Message></Error>"
            body = f"<ErrorResponse>{error}</ErrorResponse>"
        kind = sent.get("content-type", "text/xml")
        answer = f"HTTP/1.1 403 Forbidden\r\ncontent-type: {kind}\r\nconnection: close\r\n"
        writer.write(f"{answer}content-length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    made = Servers()
    babbling = await asyncio.start_server(made.babble, "127.0.0.1", 0)
    denying = await asyncio.start_server(made.deny, "127.0.0.1", 0)
    made.nonsense = f"127.0.0.1:{babbling.sockets[0].getsockname()[1]}"
    made.denial = f"127.0.0.1:{denying.sockets[0].getsockname()[1]}"
    yield made
    for server in (babbling, denying):
        server.close()
        await server.wait_closed()


def vault() -> str:
    """As a function that gets a secret and fails, telling all it knows."""
    raise RuntimeError(f"GET https://ann:{SECRET}@vault/v1?token={SECRET}")


def amqp_urls(nonsense: str, broker: str) -> dict[str, Any]:
    return {
        "password": f"amqp://guest:{SECRET}@{broker}/",
        "nobody": f"amqp://{NOBODY}/",
        "host": f"amqp://ann:{SECRET}@nowhere.invalid/",
        "scheme": f"http://ann:{SECRET}@{broker}/",
        "unreadable": f"amqp://ann:{SECRET}@[/",
        "unverified": f"amqps://ann:{SECRET}@{broker}/?no_verify_ssl=1",
        "plain": f"amqps://ann:{SECRET}@{broker}/",
        "nonsense": f"amqp://ann:{SECRET}@{nonsense}/",
        "vault": vault,
    }


def http_endpoints(nonsense: str) -> dict[str, http.Endpoint]:
    def at(place: str) -> str:
        return f"http://{place}/{SECRET}/hook?token={SECRET}"

    return {
        "nobody": http.Endpoint(at(NOBODY)),
        "host": http.Endpoint(at(f"ann:{SECRET}@nowhere.invalid")),
        "scheme": http.Endpoint(f"ftp://ann:{SECRET}@127.0.0.1/"),
        "nonsense": http.Endpoint(at(f"ann:{SECRET}@{nonsense}")),
        "plain": http.Endpoint(at(f"ann:{SECRET}@{nonsense}").replace("http:", "https:")),
        "whsec": http.Endpoint(at(nonsense), secrets=f"whsec_{SECRET}!"),
        "vault": http.Endpoint(vault),
        "vault2": http.Endpoint(at(nonsense), secrets=vault),
    }


def aws_options(nonsense: str, denial: str) -> dict[str, dict[str, Any]]:
    keys = {
        "region_name": "us-east-1",
        "aws_access_key_id": "ann",
        "aws_secret_access_key": SECRET,
        "aws_session_token": SECRET,
    }
    return {
        "nobody": {**keys, "endpoint_url": f"http://{NOBODY}"},
        "unreadable": {**keys, "endpoint_url": f"{SECRET}"},
        "nonsense": {**keys, "endpoint_url": f"http://{nonsense}"},
        "denial": {**keys, "endpoint_url": f"http://{denial}"},
    }


def sinks(servers: Servers, broker: str) -> dict[str, Any]:
    urls = amqp_urls(servers.nonsense, broker)
    options = aws_options(servers.nonsense, servers.denial)
    queue, topic = f"http://{NOBODY}/1/q", "arn:aws:sns:us-east-1:1:t"
    return {
        **{f"amqp-{name}": amqp.Exchange("", url) for name, url in urls.items()},
        **{f"celery-{name}": celery.Exchange(url=url) for name, url in urls.items()},
        **{f"http-{name}": sink for name, sink in http_endpoints(servers.nonsense).items()},
        **{f"sqs-{name}": sqs.Queue(queue, each, timeout=5) for name, each in options.items()},
        **{f"sns-{name}": sns.Topic(topic, each, timeout=5) for name, each in options.items()},
        "sqs-vault": sqs.Queue(vault),
        "sns-vault": sns.Topic(vault),
    }


def sources(servers: Servers, broker: str) -> dict[str, Any]:
    urls = amqp_urls(servers.nonsense, broker)
    options = aws_options(servers.nonsense, servers.denial)
    queue = f"http://{NOBODY}/1/q"
    return {
        **{f"in-amqp-{name}": amqp.Queue("q", url) for name, url in urls.items()},
        **{f"in-celery-{name}": celery.Queue("q", url) for name, url in urls.items()},
        **{
            f"in-sqs-{name}": sqs.Queue(queue, each, timeout=5, wait=1)
            for name, each in options.items()
        },
        "in-sqs-vault": sqs.Queue(vault),
    }


# In a worker: of each adapter and direction those whose errors say most.
PLAYED = {
    *("amqp-password", "amqp-vault", "celery-password", "http-nobody", "http-nonsense"),
    *("http-vault2", "sqs-denial", "sns-denial"),
    *("in-amqp-password", "in-celery-vault", "in-sqs-denial", "in-sqs-vault"),
}


@pytest.fixture
def broker_address(request: pytest.FixtureRequest) -> str:
    broker: Rabbit = request.getfixturevalue("broker")
    return f"127.0.0.1:{broker.port}"


async def test_no_error_of_opening_or_examining_tells_a_secret(
    servers: Servers, broker_address: str
) -> None:
    there: dict[str, Any] = sinks(servers, broker_address) | sources(servers, broker_address)

    async def failing(name: str, call: Callable[[], Any]) -> list[str]:
        try:
            found = await call()
            return [repr(found)] if isinstance(found, list) else []
        except Unreachable as error:
            return [str(error), *traceback.format_exception_only(error), repr(error.__cause__)]

    for name, each in there.items():
        async with asyncio.timeout(60):
            said = await failing(name, each.examine)
            if not name.startswith("sns") and not name.endswith(("denial", "nonsense")):
                said += await failing(name, each.open)  # examined, the others were opened too
        assert SECRET not in "".join([*said, repr(each), each.place]), name


@pytest.fixture
def app_with_all(app: App, servers: Servers, broker_address: str) -> App:
    @app.task
    def settle(n: int) -> None: ...

    for name, sink in sinks(servers, broker_address).items():
        if name in PLAYED:
            app.outlet(name, sink, max_attempts=1)
    for name, source in sources(servers, broker_address).items():
        if name in PLAYED:
            app.inlet(name, source, None if "celery" in name else settle)
    return app


async def test_no_log_no_job_and_no_command_tells_a_secret(
    app_with_all: App, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    app, terminal = app_with_all, Terminal(app_with_all.url)
    caplog.set_level("DEBUG", "pgqueue")
    body = [[], {}, {}]
    await app.enqueue_async(
        [each.message(body, type="t") for each in app.outlets.values()]  # each its own queue
    )

    def look() -> dict[str, Any] | None:
        found = {each["name"]: each for each in terminal("status", "--json").json["bridges"]}
        ended = {job.queue for job in listed(app) if job.finished}
        waiting = [
            name for name, each in found.items() if not each["away_since"] and name not in ended
        ]
        return found if found.keys() >= {*app.outlets, *app.inlets} and not waiting else None

    async with working(app, inlets=True, health_port=0, health_host="127.0.0.1"):
        await soon(look, within=90)
        failed = [job.id for job in listed(app) if job.finished][:3]
        printed = [
            terminal(*words)
            for words in (
                ("status",),
                ("status", "--json"),
                ("doctor", "--json"),
                ("workers", "--json"),
                ("jobs", "list", "--json"),
                *(("jobs", "show", id, "--json") for id in failed),
                *(("why", id) for id in failed),
            )
        ]

    said = [caplog.text, *(each.out + each.err for each in printed)]
    said += [repr(job) + repr(job.errors) for job in listed(app)]
    for text in said:
        assert SECRET not in text, text[max(0, text.index(SECRET) - 300) :][:400]
    assert SECRET in servers.tokens  # it was sent, and AWS told it us


async def test_what_is_no_secret_is_left_in_what_aws_says() -> None:
    keys = {"aws_access_key_id": "ann", "aws_secret_access_key": SECRET}
    client = Client("sqs", {"region_name": "None", **keys}, timeout=5, calls=1)
    await client.open()
    try:
        with pytest.raises(Unreachable, match=r"https://sqs\.None\."):
            await client.call("get_queue_attributes", QueueUrl="x")
    finally:
        await client.close()
