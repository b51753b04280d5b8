"""Amazon SNS. `pip install 'pgqueue[sqs]'`; as `pgqueue.bridges.sqs`, to a topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgqueue.bridges.aws import check_aws
from pgqueue.bridges.base import Message, Unreachable
from pgqueue.bridges.secrets import Secret
from pgqueue.errors import installed

if TYPE_CHECKING:
    from pgqueue.bridges.aws_lines import TopicLine


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic to publish to: its *arn*, or `env:NAME`; it must exist. *to* is the subject.

    *options*: of `boto3.client`. *timeout*: seconds that AWS may be silent.
    """

    arn: Secret = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
    batch: int = 10
    parallel: int = 8

    @property
    def place(self) -> str:
        return "SNS topic"

    def check(self, message: Message) -> None:
        if message.to is not None and not 0 < len(message.to) < 100:
            raise ValueError("to, the subject: SNS takes 1 to 99 characters")
        check_aws(message)

    async def open(self) -> TopicLine:
        with installed("sqs", Unreachable):
            from pgqueue.bridges.aws_lines import TopicLine
        return await TopicLine.to(self)

    async def examine(self) -> Sequence[str]:
        line = await self.open()
        try:
            return await line.problems()
        finally:
            await line.close()
