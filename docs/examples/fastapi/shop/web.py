"""The shop's HTTP side."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pgqueue import enqueue
from pgqueue.contrib.starlette import lifespan
from pgqueue.errors import ResultTimeout
from shop import database
from shop.tasks import TOMORROW, mail_invoice, queue, remind, render_invoice


@asynccontextmanager
async def mine(_: FastAPI) -> AsyncGenerator[None, None]:
    yield
    await database.engine.dispose()


web = FastAPI(lifespan=lifespan(queue, then=mine))  # the queue's connections are given back, too

# Without scope="function" the commit would come after the response: the client would have its
# answer, and a worker might look for an order that is not there yet.
Session = Annotated[AsyncSession, Depends(database.session, scope="function")]


class NewOrder(BaseModel):
    customer: str
    cents: int


@web.post("/orders", status_code=201)
async def place(order: NewOrder, session: Session) -> dict[str, int]:
    """The order and its jobs exist together, or not at all."""
    placed = database.Order(**order.model_dump())
    session.add(placed)
    await session.flush()
    pdf = await enqueue(session, render_invoice.job(placed.id, placed.customer, placed.cents))
    mail = mail_invoice.job(placed.id, placed.customer).after(pdf)
    await enqueue(session, mail, remind.job(placed.id).options(delay=TOMORROW))
    session.add(database.Invoice(order_id=placed.id, job_id=pdf.id))
    return {"id": placed.id}


@web.get("/orders/{order_id}/invoice")
async def invoice(order_id: int, session: Session) -> Any:
    """Wait for the file, for five seconds at most."""
    if (made_by := await session.get(database.Invoice, order_id)) is None:
        raise HTTPException(404)
    try:
        return await queue.result_async(made_by.job_id, timeout=5)
    except ResultTimeout:
        return JSONResponse({"job": made_by.job_id}, status_code=202)
