"""What a hostile input is, and how it is played."""

from __future__ import annotations

import contextlib
import enum
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from support.relay import reset
from support.wire import RawClient

Endpoint = tuple[str, int]


class End(enum.Enum):
    """What the client does when it has said everything."""

    FIN = "half-closes and reads to the end"
    RESET = "resets"
    SILENCE = "keeps the connection and reads for a moment"


class Likeness(enum.Enum):
    """What of the server's own reaction must be seen through the proxy."""

    BYTES = "every byte"
    SQLSTATE = "the same SQLSTATE: the words are the proxy's own, as docs/protocol.md lists them"
    REFUSED = "an error: the proxy refuses itself what the server refuses elsewhere"
    ENDED = "the same, and perhaps 08006: the server resets without a word, and the proxy says that it did"
    SPARED = "nothing: the reaction is a matter of timing, or what is said has no answer"


@dataclass(frozen=True)
class Case:
    """One hostile input of a client.

    A step is bytes to send, or the number of answered bytes to wait for.
    """

    name: str
    steps: tuple[bytes | int, ...]
    end: End = End.FIN
    likeness: Likeness = Likeness.BYTES
    logged_in: bool = False
    reference: str | None = None
    """The CVE or report that it stands for."""


def case(name: str, *steps: bytes | int, **more: object) -> Case:
    return Case(name, steps, **more)  # type: ignore[arg-type]


DEADLINE_S = 10.0
SILENCE_S = 0.15
ANSWER_BYTES_MAX = 8_000_000


def play(one: Case, endpoint: Endpoint, database: str) -> bytes:
    """What the client is answered until the connection ends, or until its silence has lasted."""
    if one.logged_in:
        client = RawClient(endpoint, database=database, deadline_s=DEADLINE_S)
        connection, received = client.socket, bytearray()
    else:
        connection, received = socket.create_connection(endpoint, timeout=DEADLINE_S), bytearray()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        try:
            for step in one.steps:
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    _receive(connection, received, lambda step=step: len(received) >= step)
            if one.end is End.RESET:
                reset(connection)
                return bytes(received)
            if one.end is End.FIN:
                connection.shutdown(socket.SHUT_WR)
                _receive(connection, received, lambda: False)
            else:
                connection.settimeout(SILENCE_S)
                with contextlib.suppress(TimeoutError):
                    _receive(connection, received, lambda: False)
        except TimeoutError as error:
            raise AssertionError(
                f"{one.name}: the connection stays open; so far {bytes(received[-200:])!r}"
            ) from error
        except OSError:
            # Closed while we still talk: an end too. What was answered before it is read all the same.
            with contextlib.suppress(OSError):
                _receive(connection, received, lambda: False)
    return bytes(received)


def _receive(connection: socket.socket, received: bytearray, enough: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not enough():
        data = connection.recv(262144)
        if not data:
            return
        received += data
        assert len(received) < ANSWER_BYTES_MAX, "endless talk"
        assert time.monotonic() < end, "the talk goes on for too long"


def masked(answer: bytes) -> bytes:
    """An answer without what no two sessions have in common: process id and cancel key."""
    found = bytearray(answer)
    at = 0
    while at + 5 <= len(found):
        (length,) = struct.unpack_from("!I", found, at + 1)
        if found[at : at + 1] in b"NG" and not 4 <= length < ANSWER_BYTES_MAX:
            at += 1  # the answer to a request for encryption has no length
            continue
        if found[at : at + 1] == b"K" and 4 < length <= 264:
            found[at + 5 : at + 1 + length] = b"?" * (length - 4)
        at += 1 + max(length, 4)
    return bytes(found)


def sqlstate(answer: bytes) -> str | None:
    found = re.search(rb"\0C([0-9A-Z]{5})\0", answer)
    return found[1].decode() if found else None


def unlike(one: Case, direct: bytes, through: bytes) -> str | None:
    """How the answers differ where they must not."""
    match one.likeness:
        case Likeness.SPARED:
            return None
        case Likeness.REFUSED:
            if sqlstate(through) and sqlstate(direct) and b"Mpgprism: " in through:
                return None
        case Likeness.ENDED:
            if through == direct or (
                through.startswith(direct) and b"Mpgprism: connection to the upstream was lost" in through
            ):
                return None
        case Likeness.SQLSTATE:
            if sqlstate(direct) == sqlstate(through):
                return None
        case Likeness.BYTES:
            if masked(direct) == masked(through):
                return None
    return f"{one.name}: direct {direct[-300:]!r}, through the proxy {through[-300:]!r}"
