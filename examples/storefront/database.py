"""The shop's orders in an SQLite file. Blocking, as `sqlite3` is: for jobs that run in threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from gofer import Context

_ROWS = [
    (1, "tent", 1),
    (1, "stove", 2),
    (2, "salt & pepper mill", 1),
]


class Order(NamedTuple):
    """So many pieces of a product."""

    product: str
    pieces: int


def create(path: Path) -> None:
    """Write a new file with a few orders of the users 1 and 2."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (user_id INTEGER, product TEXT, pieces INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", _ROWS)


def orders(ctx: Context, path: Path, user_id: int) -> list[Order]:
    """Return a user's orders in the order in which they were made; blocks."""
    with connect(ctx, path) as connection:
        found = connection.execute(
            "SELECT product, pieces FROM orders WHERE user_id = ? ORDER BY rowid", (user_id,)
        )
        return [Order(*row) for row in found]


@contextmanager
def connect(ctx: Context, path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for a `with` block in which no query outlives the context.

    A thread cannot be stopped from outside, so SQLite itself asks the context, every thousand
    instructions of a query. Only a wait for another connection's lock is deaf meanwhile; it ends
    at the deadline.

    Raises:
        DeadlineExceeded, Cancelled: What the context says, where a query was cut short by it.
    """
    left = ctx.remaining()
    # SQLite counts whole milliseconds; two more, so that it never gives up before the deadline.
    patience = 5.0 if left is None else left + 0.002
    with closing(sqlite3.connect(path, timeout=patience)) as connection:
        connection.set_progress_handler(lambda: ctx.cancelled, 1_000)
        try:
            yield connection
        except sqlite3.OperationalError:
            ctx.check()
            raise
