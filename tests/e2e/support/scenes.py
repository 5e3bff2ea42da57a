"""Traffic that brings each part of the page something to show; all of it real statements on a real server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg

from . import shop
from .orders import list_orders
from .postgres import Address
from .proxy import Pgprism
from .waiting import wait_until


def tag(route: str, trace: int) -> str:
    """The comment of a request, as an application's middleware would write it; for statements without parameters."""
    return f" /*route='{quote(route, safe='')}',traceparent='00-{trace:032x}-{trace:016x}-01'*/"


@contextlib.contextmanager
def client(address: Address, application: str = "web") -> Iterator[psycopg.Connection[Any]]:
    """A connection that sends each statement as one message, outside of transactions."""
    with psycopg.connect(
        address.conninfo(application_name=application), cursor_factory=psycopg.ClientCursor, autocommit=True
    ) as connection:
        yield connection


def visit_shop(address: Address, threads: int = 2, rounds: int = 2) -> int:
    """Visitors of the demo's pages, tags on; how many requests they made."""
    return shop.play(
        "tour", address, "--threads", str(threads), "--rounds", str(rounds),
        deadline_s=180, DJANGO_SETTINGS_MODULE="shop_site.tagged",
    )


def fail(address: Address) -> None:
    """Three statements that end with three SQLSTATEs."""
    with client(address, "worker") as connection:
        for statement in ("SELECT 1 / 0 AS share", "SELECT missing FROM shop_order", "SELECT 'x'::int AS number"):
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement)


@contextlib.contextmanager
def idle_in_transaction(address: Address) -> Iterator[None]:
    """A client that reads something in a transaction and then does nothing."""
    with client(address, "forgetful") as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) AS looked_at FROM shop_order")
        yield
        connection.execute("ROLLBACK")


def many_shapes(address: Address, shapes: int, units: int) -> None:
    """So many shapes, spread evenly over so many tagged units."""
    each = shapes // units
    with client(address, "reports") as connection:
        for unit in range(units):
            comment = tag(f"reports/{unit % 40}/", unit + 1)
            for number in range(unit * each, (unit + 1) * each):
                connection.execute(f'SELECT "o"."id" AS "figure_{number}" FROM "shop_order" "o" LIMIT 3{comment}')


def long_unit(address: Address, statements: int, trace: int = 0xABC) -> None:
    """One unit of so many statements, most of them a loop over the rows of the first."""
    comment = tag("export/", trace)
    with client(address, "export") as connection:
        rows = connection.execute(f"SELECT id, customer_id FROM shop_order ORDER BY id{comment}").fetchall()
        for number in range(statements - 1):
            customer = rows[number % len(rows)][1]
            if number % 10 == 9:
                connection.execute(f"SELECT {number} AS line_{number % 70}{comment}")
            else:
                connection.execute(f"SELECT id, name FROM shop_customer WHERE id = {customer}{comment}")


def everything(proxy: Pgprism, address: Address) -> None:
    """Findings, plain requests and errors, in the tables of `orders.prepare`; waits until all of it is known."""
    through = address.at(proxy.endpoint)
    for _ in range(2):
        list_orders(through)
    with client(through) as connection:
        comment = tag("customers/", 0xC0FFEE)
        for _ in range(4):
            connection.execute(f"SELECT id, name FROM shop_customer WHERE name = 'c7'{comment}")
        connection.execute(f"SELECT count(*) AS customers FROM shop_customer{comment}")
    fail(through)
    wait_until(
        lambda: {"n_plus_one_forward", "duplicate"} <= {one["kind"] for one in proxy.items("findings", status="open")},
        "the findings are open",
        deadline_s=15,
    )


def finding_of(proxy: Pgprism, kind: str) -> dict[str, Any]:
    """The finding of that kind, once there is one."""
    return wait_until(lambda: (proxy.items("findings", kind=kind) or [None])[0], f"a finding: {kind}", deadline_s=15)


def unit_of(proxy: Pgprism, route: str, statements: int, deadline_s: float = 15.0) -> dict[str, Any]:
    """The latest unit of that route, in full, once it has ended with so many statements."""

    def ended() -> dict[str, Any] | None:
        for unit in proxy.items("units", route=route):
            if unit["state"] == "ended" and unit["queries"] >= statements:
                return proxy.api(f"units/{unit['id']}")
        return None

    return wait_until(ended, f"a unit of {route} has ended", deadline_s=deadline_s)


@dataclass
class Known:
    """A statement and when it ran by its client's clock, milliseconds from the first one's start."""

    name: str
    nominal_ms: float
    started_ms: float
    ended_ms: float
    rows: int

    @property
    def late_ms(self) -> float:
        """By how much more its client waited than the statement was told to sleep."""
        return max(0.0, self.ended_ms - self.started_ms - self.nominal_ms)


@dataclass
class Script:
    """Statements of known length and the thinking between them, in one tagged unit; keeps what its client saw."""

    connection: psycopg.Connection[Any]
    route: str
    trace: int
    known: list[Known] = field(default_factory=list)
    thought_ms: float = 0.0
    _began: float | None = None

    def run(self, name: str, statement: str, nominal_ms: float = 0.0) -> list[tuple[Any, ...]]:
        """Sends a statement; an error is an answer too."""
        rows: list[tuple[Any, ...]] = []
        started = time.monotonic()
        if self._began is None:
            self._began = started
        try:
            cursor = self.connection.execute(statement + tag(self.route, self.trace))
            ended = time.monotonic()
            rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error:
            ended = time.monotonic()
        self.known.append(
            Known(name, nominal_ms, (started - self._began) * 1000, (ended - self._began) * 1000, len(rows))
        )
        return rows

    def think(self, ms: float) -> None:
        """What an application does between two statements."""
        time.sleep(ms / 1000)  # the thinking under test
        self.thought_ms += ms
