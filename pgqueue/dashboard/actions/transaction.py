"""What a viewer asks for is done in one transaction."""

from __future__ import annotations

from typing import TypeVar

from pgqueue.app import App
from pgqueue.backends.plans import carry_out_async
from pgqueue.operations import Plan

T = TypeVar("T")


async def in_transaction(app: App, plan: Plan[T]) -> T:
    """Carry out *plan* in one transaction. Raises StoreBusy where the store has undone it."""
    async with app.backend.transaction_async() as executor:
        together = getattr(executor, "together", None)
        return await carry_out_async(plan, executor.execute, together)
