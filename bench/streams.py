"""Much data in few statements, by a client that throws away what it reads and has ready what it writes.

A driver that makes objects of rows would be the slowest part of the whole.
"""

from __future__ import annotations

import time

from support.postgres import Address
from support.wire import RawClient, message, query

from .loads import Done

_READY = b"Z\0\0\0\5I"
_READ_BYTES = 1 << 18
ROWS = 2_000_000
ROW = "SELECT repeat('x', 100) FROM (SELECT generate_series(1, {count})) AS n"
LARGE_ROW = "SELECT repeat('x', 1000000) FROM (SELECT generate_series(1, 200)) AS n"

# psql sends its file in messages of 8 KiB.
_LINE = b"x" * 99 + b"\n"
_COPY_DATA = message(b"d", _LINE * 81)
_BLOCK = _COPY_DATA * 32
_COPIED_BYTES = 200_000_000
COPIED_TABLE = "bench_copied"


def _connect(address: Address) -> RawClient:
    return RawClient(address.endpoint, user=address.user, database=address.database)


def _read_all(client: RawClient, buffer: bytearray) -> int:
    """Reads to the end of one answer, and says how long it was."""
    total, tail = 0, b""
    while tail != _READY:
        count = client.socket.recv_into(buffer)
        if not count:
            raise EOFError("the connection ended within an answer")
        if total == 0 and buffer[:1] == b"E":
            raise RuntimeError(f"the server refuses: {bytes(buffer[:count])!r}")
        total += count
        tail = (tail + bytes(buffer[max(0, count - len(_READY)) : count]))[-len(_READY) :]
    return total


def _read(address: Address, sql: str, seconds: float) -> Done:
    """Asks again until the time is over; a unit is a gigabyte as the server sent it."""
    buffer = bytearray(_READ_BYTES)
    total = statements = 0
    with _connect(address) as client:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            client.send(query(sql))
            total += _read_all(client, buffer)
            statements += 1
        took = time.monotonic() - began
    return Done(total / 1e9, statements, took)


def rows_small(address: Address, seconds: float) -> Done:
    """Two million rows of 100 bytes."""
    return _read(address, ROW.format(count=ROWS), seconds)


def rows_large(address: Address, seconds: float) -> Done:
    """Two hundred rows of 1 MB."""
    return _read(address, LARGE_ROW, seconds)


def copy_out(address: Address, seconds: float) -> Done:
    """Two million lines of 100 bytes."""
    return _read(address, f"COPY ({ROW.format(count=ROWS)}) TO STDOUT", seconds)


def copy_in(address: Address, seconds: float) -> Done:
    """Lines of 100 bytes, which the server reads and does not keep."""
    total = statements = 0
    with _connect(address) as client:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            client.send(query(f"COPY {COPIED_TABLE} FROM STDIN WHERE false"))
            client.until(b"G")
            sent = 0
            while sent < _COPIED_BYTES:
                client.send(_BLOCK)
                sent += len(_BLOCK)
            client.send(message(b"c"))
            client.ready()
            total += sent
            statements += 1
        took = time.monotonic() - began
    return Done(total / 1e9, statements, took)
