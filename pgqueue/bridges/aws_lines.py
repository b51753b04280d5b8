"""SQS and SNS by boto3, in threads: imported only when a line is opened."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import botocore.config
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from pgqueue.bridges.aws import MAX_BYTES, size
from pgqueue.bridges.base import (
    DELIVERED,
    Again,
    Answer,
    Message,
    Never,
    Received,
    Unknown,
    Unreachable,
)
from pgqueue.bridges.secrets import hidden, reveal, said

if TYPE_CHECKING:
    from pgqueue.bridges.sns import Topic
    from pgqueue.bridges.sqs import Queue

T = TypeVar("T")
CONNECT_SECONDS: Final = 5.0
BATCH: Final = 10
CALLS: Final = 8
"""Of one queue, so many at once."""
SECRETS: Final = ("aws_secret_access_key", "aws_session_token")
SHORT_SECONDS: Final = 30
NEVER: Final = frozenset({"InvalidMessageContents", "InvalidParameterValue", "MissingParameter"})
BUSY: Final = frozenset(
    {"ThrottlingException", "Throttling", "RequestThrottled", "KmsThrottled", "OverLimit"}
)


@cache
def _descriptions() -> Any:
    """What botocore knows of AWS's services, for all clients: to read it takes 40 of the 50 ms of
    processor time that a client takes. Credentials each looks for anew. A Session of boto3 is not
    made, as each would lengthen the list of folders that is shared."""
    return botocore.session.Session().get_component("data_loader")


class Client:
    """A client as boto3 makes them, called in threads of its own; what AWS says is an Answer or an
    error.

    Of a call's millisecond of processor time botocore takes 0.4 and HTTP the rest. Refused: to have
    aiohttp send what botocore has signed, in the event loop: that saves a tenth of it, and the loop
    then has less time to gather messages for a call.
    """

    def __init__(
        self, service: str, options: Mapping[str, Any], timeout: float, calls: int
    ) -> None:
        self._threads = ThreadPoolExecutor(calls, thread_name_prefix=f"pgqueue-{service}")
        self._service = service
        self._options = options
        self._config = botocore.config.Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=timeout,
            max_pool_connections=calls,
            # AWS checks what it is sent. What boto3 refuses beforehand would look as if AWS were
            # away, and to look costs a tenth of a call's processor time.
            parameter_validation=False,
            retries={"total_max_attempts": 1},  # what is tried again, and when, is the gate's
        )
        self._client: Any = None
        self._secrets = [options.get(name) for name in SECRETS]

    async def open(self) -> None:
        """Raises Unreachable."""
        await self._threaded(self._make)

    def _make(self) -> None:
        session = botocore.session.Session()
        session.register_component("data_loader", _descriptions())
        self._client = session.create_client(self._service, config=self._config, **self._options)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What AWS answers; raises Unreachable, ClientError."""
        return await self._threaded(partial(getattr(self._client, method), **parameters))

    async def _threaded(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except EndpointConnectionError as error:
            raise Unreachable(f"{self._service.upper()}: {said(error, *self._secrets)}") from None
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
                raise Unreachable(f"{self._service.upper()}: {self.why(error)}") from None
            raise
        except (BotoCoreError, OSError, ValueError) as error:
            endpoint = self._options.get("endpoint_url") or ""
            secrets = self._secrets if "://" in endpoint else [*self._secrets, endpoint]
            raise Unreachable(f"{self._service.upper()}: {said(error, *secrets)}") from None

    def why(self, error: ClientError) -> str:
        """What AWS says: its code and its text. Of the text the first line: where a signature is
        wrong, the others are what it should have signed, and hold the session's token."""
        told = error.response.get("Error", {})
        text, _, _ = told.get("Message", "").partition("\n")
        return hidden(f"{told.get('Code', '')}: {text}", *self._secrets)[:300]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()


class _Line:
    """What SQS and SNS have in common: batches of ten, an answer for each entry."""

    service: ClassVar[str]
    method: ClassVar[str]
    place_parameter: ClassVar[str]
    entries_parameter: ClassVar[str]

    def __init__(self, client: Client, place: str) -> None:
        self._client = client
        self._place = place

    @property
    def _is_fifo(self) -> bool:
        return self._place.endswith(".fifo")

    async def send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        calls = portions(messages)
        if len(calls) == 1:
            return await self._send(calls[0])
        told = await asyncio.gather(*map(self._send_or_not, calls))
        return [answer for answers in told for answer in answers]

    async def _send_or_not(self, messages: Sequence[Message]) -> list[Answer]:
        """As one of several calls: what is unknown of it says nothing of the others."""
        try:
            return await self._send(messages)
        except Unreachable as error:
            return [Unknown(str(error))] * len(messages)

    async def _send(self, messages: Sequence[Message]) -> list[Answer]:
        entries = [self._entry(n, message) for n, message in enumerate(messages)]
        try:
            told = await self._client.call(
                self.method, **{self.place_parameter: self._place, self.entries_parameter: entries}
            )
        except ClientError as error:
            why = self._client.why(error)
            if why.partition(":")[0] in BUSY:
                return [Again(why, spent=False)] * len(messages)
            return [Again(why)] * len(messages)
        answers: dict[str, Answer] = {entry["Id"]: DELIVERED for entry in told["Successful"]}
        for entry in told.get("Failed", ()):
            why = f"{entry['Code']}: {entry.get('Message', '')}"[:300]
            kind = Never if entry.get("SenderFault") and entry["Code"] in NEVER else Again
            answers[entry["Id"]] = kind(why)
        return [answers[str(n)] for n in range(len(messages))]

    def _entry(self, number: int, message: Message) -> dict[str, Any]:
        told: dict[str, Any] = {"Id": str(number), "MessageAttributes": attributes(message)}
        if self._is_fifo:
            told["MessageGroupId"] = message.key or message.id
            told["MessageDeduplicationId"] = message.id
        return told

    async def close(self) -> None:
        await self._client.close()


class QueueLine(_Line):
    """A client of SQS, for one queue."""

    service, method = "sqs", "send_message_batch"
    place_parameter, entries_parameter = "QueueUrl", "Entries"

    @classmethod
    async def to(cls, queue: Queue) -> QueueLine:
        """Return an open line; raises Unreachable if AWS, or an address in its place, is away."""
        url = reveal(queue.url, "the SQS queue's URL")
        client = Client(cls.service, queue.options, queue.timeout + queue.wait, CALLS)
        await opened(client, "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
        return cls(client, url, queue.wait)

    def __init__(self, client: Client, place: str, wait: int) -> None:
        super().__init__(client, place)
        self._wait = wait
        self._busy = False

    async def problems(self, keep: timedelta | None) -> list[str]:
        """What is wrong with the queue, as far as may be asked, if messages are known for *keep*;
        raises Unreachable."""
        try:
            told = await self._client.call(
                "get_queue_attributes", QueueUrl=self._place, AttributeNames=["All"]
            )
        except ClientError as error:
            return [self._client.why(error)]
        found = []
        seconds = int(told["Attributes"].get("VisibilityTimeout", SHORT_SECONDS))
        if seconds < SHORT_SECONDS:
            found.append(
                f"its visibility timeout is {seconds} s: while the store is slow, messages come "
                f"again before they are settled; give {SHORT_SECONDS} s"
            )
        retention = timedelta(seconds=int(told["Attributes"].get("MessageRetentionPeriod", 0)))
        if keep is not None and keep < retention:
            found.append(
                f"it keeps messages for {retention.total_seconds():,.0f} s, the inlet knows them "
                f"for keep={keep.total_seconds():,.0f} s only: one that comes again later is a "
                f"second job; give keep={retention.total_seconds():.0f}"
            )
        return found

    async def take(self, limit: int) -> Sequence[Received]:
        """Messages of calls side by side that do not wait, as long as there were many; else of one
        that waits, and if it was full, of further ones."""
        if self._busy and (found := await self._receive_some(limit)):
            self._busy = 2 * len(found) >= limit
            return found
        first = await self._receive(min(limit, BATCH), self._wait)
        self._busy = len(first) == BATCH
        return [*first, *await self._receive_some(limit - BATCH)] if self._busy else first

    async def _receive_some(self, limit: int) -> list[Received]:
        counts = [min(BATCH, limit - n) for n in range(0, limit, BATCH)]
        told = await asyncio.gather(*(self._receive(count, 0) for count in counts))
        return [message for found in told for message in found]

    async def _receive(self, limit: int, wait: int) -> list[Received]:
        told = await self._asked(
            "receive_message",
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait,
            AttributeNames=["MessageGroupId"],
            MessageAttributeNames=["All"],
        )
        return [received(message) for message in told.get("Messages", ())]

    async def settle(self, messages: Sequence[Received]) -> None:
        await self._each("delete_message_batch", messages)

    async def release(self, messages: Sequence[Received]) -> None:
        await self._each("change_message_visibility_batch", messages, VisibilityTimeout=0)

    async def _each(self, method: str, messages: Sequence[Received], **more: int) -> None:
        """Ask *method* for all, ten a call. What AWS refuses, a receipt that is stale, is handed
        out again, and is known by its id."""
        calls = []
        for n in range(0, len(messages), BATCH):
            entries = [
                {"Id": str(i), "ReceiptHandle": message.receipt, **more}
                for i, message in enumerate(messages[n : n + BATCH])
            ]
            calls.append(self._asked(method, Entries=entries))
        await asyncio.gather(*calls)

    async def _asked(self, method: str, **parameters: Any) -> dict[str, Any]:
        try:
            return await self._client.call(method, QueueUrl=self._place, **parameters)
        except ClientError as error:
            raise Unreachable(f"SQS: {self._client.why(error)}") from None

    def _entry(self, number: int, message: Message) -> dict[str, Any]:
        return {**super()._entry(number, message), "MessageBody": text_of(message)}


class TopicLine(_Line):
    """A client of SNS, for one topic."""

    service, method = "sns", "publish_batch"
    place_parameter, entries_parameter = "TopicArn", "PublishBatchRequestEntries"

    @classmethod
    async def to(cls, topic: Topic) -> TopicLine:
        """Return an open line; raises Unreachable if AWS, or an address in its place, is away."""
        arn = reveal(topic.arn, "the SNS topic's ARN")
        client = Client(cls.service, topic.options, topic.timeout, topic.parallel)
        await opened(client, "get_topic_attributes", TopicArn=arn)
        return cls(client, arn)

    async def problems(self) -> list[str]:
        """What is wrong with the topic, as far as may be asked; raises Unreachable."""
        try:
            await self._client.call("get_topic_attributes", TopicArn=self._place)
        except ClientError as error:
            return [self._client.why(error)]
        return []

    def _entry(self, number: int, message: Message) -> dict[str, Any]:
        subject = {} if message.to is None else {"Subject": message.to}
        return {**super()._entry(number, message), "Message": text_of(message), **subject}


async def opened(client: Client, probe: str, **parameters: str | list[str]) -> None:
    """Open *client*, and see that AWS answers at all: what it says of *probe* does not matter, as
    who may send need not have the right to look. Raises Unreachable, and then closes it."""
    try:
        await client.open()
        await client.call(probe, **parameters)
    except ClientError:
        pass
    except BaseException:
        await client.close()
        raise


def portions(messages: Sequence[Message]) -> list[list[Message]]:
    """*messages* in calls that AWS takes."""
    found: list[list[Message]] = []
    room = 0
    for message in messages:
        needed = size(message)
        if needed > room or len(found[-1]) == BATCH:
            found.append([])
            room = MAX_BYTES
        found[-1].append(message)
        room -= needed
    return found


def attributes(message: Message) -> dict[str, dict[str, str]]:
    """Headers, type, id and what the body is, as AWS has them."""
    texts = {"message-id": message.id, **message.headers}
    if message.type is not None:
        texts["type"] = message.type
    if not message.is_text:
        texts["content-encoding"] = "base64"
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}


def text_of(message: Message) -> str:
    """The body: JSON as it is, bytes in base64, as AWS takes text alone."""
    return message.body.decode() if message.is_text else base64.b64encode(message.body).decode()


def received(told: Mapping[str, Any]) -> Received:
    """What a message of SQS is to an inlet; bytes of an outlet's are bytes again."""
    texts = {
        name: attribute["StringValue"]
        for name, attribute in told.get("MessageAttributes", {}).items()
        if "StringValue" in attribute
    }
    body = told["Body"].encode()
    if texts.pop("content-encoding", None) == "base64":
        with suppress(ValueError):
            body = base64.b64decode(body, validate=True)
    return Received(
        body=body,
        id=texts.pop("message-id", told["MessageId"]),
        type=texts.pop("type", None),
        group=told.get("Attributes", {}).get("MessageGroupId"),
        headers=texts,
        receipt=told["ReceiptHandle"],
    )
