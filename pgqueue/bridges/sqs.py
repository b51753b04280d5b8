"""Amazon SQS. `pip install 'pgqueue[sqs]'`; credentials come as boto3 finds them, or by *options*.

To a FIFO queue a message goes with its key as the group and its id as the deduplication id, so SQS
drops what is sent twice within five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pgqueue.bridges.aws import check_aws
from pgqueue.bridges.base import Message, Unreachable
from pgqueue.bridges.secrets import Secret
from pgqueue.errors import installed

if TYPE_CHECKING:
    from pgqueue.bridges.aws_lines import QueueLine


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, to send to or to take from: its *url*, or `env:NAME`; it must exist.

    *options*: of `boto3.client`, such as region_name and endpoint_url. *timeout*: seconds that AWS
    may be silent. Headers go as message attributes, eight at most with the type. To take from:
    *wait* is how many seconds one call waits for messages; what came in is not handed out again
    before the queue's visibility timeout is over.
    """

    url: Secret = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
    wait: int = 20
    batch: int = 80  # in calls of ten, eight at once
    # So that calls wait for threads: with 2, five of eight were under way on average, with 4 seven.
    parallel: int = 4

    @property
    def place(self) -> str:
        return "SQS queue"

    def check(self, message: Message) -> None:
        if message.to is not None:
            raise ValueError("to: an SQS queue is one place; declare an outlet for each queue")
        check_aws(message)

    async def open(self) -> QueueLine:
        with installed("sqs", Unreachable):
            from pgqueue.bridges.aws_lines import QueueLine
        return await QueueLine.to(self)

    async def examine(self, keep: timedelta | None = None, /) -> Sequence[str]:
        line = await self.open()
        try:
            return await line.problems(keep)
        finally:
            await line.close()
