"""The shop's own tables. `python -m shop.database` makes them."""

import os

from sqlalchemy import BigInteger, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = make_url(os.environ.get("DATABASE_URL", "postgresql:///shop")).set(
    drivername="postgresql+psycopg"
)
engine = create_engine(URL)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    cents: Mapped[int]
    paid: Mapped[bool] = mapped_column(default=False)


class Invoice(Base):
    """Which job makes an order's invoice: a job's id is known when it is enqueued."""

    __tablename__ = "invoices"

    order_id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(BigInteger)


if __name__ == "__main__":
    Base.metadata.create_all(engine)
