"""A server that logs in everybody and answers every query with one row: thousands of sessions at no cost.

Run as a process of its own, `python -m support.greeter PORT`, so that its descriptors and its time are its own.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import selectors
import socket
import struct
import sys
from pathlib import Path

from .processes import Child, free_port, scratch_folder
from .waiting import wait_until
from .wire import AUTHENTICATION_OK, READY_IDLE, message

ROW = message(b"T", struct.pack("!h", 1) + b"a\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0)) + message(
    b"D", struct.pack("!hi", 1, 1) + b"1"
)
PARAMETERS = message(b"S", b"server_version\x0018.0\0") + message(b"S", b"client_encoding\0UTF8\0")
ANSWER = ROW + message(b"C", b"SELECT 1\0") + READY_IDLE
_ENCRYPTION_REQUESTS = (bytes.fromhex("04d2162f"), bytes.fromhex("04d21630"))


def raise_descriptor_limit() -> int:
    """Takes as many descriptors as this process may have, and says how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Greeter:
    """The process, and where it listens."""

    def __init__(self) -> None:
        folder = scratch_folder("greeter")
        self.endpoint = ("127.0.0.1", free_port())
        self._child = Child(
            [sys.executable, "-m", "support.greeter", str(self.endpoint[1])],
            folder / "greeter.log",
            cwd=Path(__file__).resolve().parents[1],
        )

        def listens() -> bool:
            with socket.create_connection(self.endpoint, timeout=1):
                return True

        wait_until(listens, "the greeter listens", refused=(OSError,))

    def stop(self) -> None:
        self._child.kill()

    def __enter__(self) -> Greeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Session:
    """What of one client's bytes is no whole message yet."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pending = bytearray()
        self.is_logged_in = False

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """What to answer, and whether to go on."""
        self.pending += data
        answer = bytearray()
        while True:
            start = 1 if self.is_logged_in else 0
            if len(self.pending) < start + 4:
                return bytes(answer), True
            (length,) = struct.unpack_from("!i", self.pending, start)
            end = start + length
            if len(self.pending) < end:
                return bytes(answer), True
            tag, code = self.pending[:1], bytes(self.pending[4:8])
            del self.pending[:end]
            if not self.is_logged_in and code in _ENCRYPTION_REQUESTS:
                answer += b"N"
            elif not self.is_logged_in:
                self.is_logged_in = True
                # No two sessions have one key, as with a real server.
                key = message(b"K", struct.pack("!ii", self.number, ~self.number))
                answer += AUTHENTICATION_OK + PARAMETERS + key + READY_IDLE
            elif tag in (b"Q", b"S"):
                answer += ANSWER
            elif tag == b"X":
                return bytes(answer), False


def _serve(port: int) -> None:
    raise_descriptor_limit()
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)
    numbers = itertools.count(1)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        one, _ = listener.accept()
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        selector.register(one, selectors.EVENT_READ, _Session(next(numbers)))
                continue
            one, session = key.fileobj, key.data
            try:
                data = one.recv(65536)
                answer, goes_on = session.take(data) if data else (b"", False)
                one.sendall(answer)
            except OSError:
                goes_on = False
            if not goes_on:
                selector.unregister(one)
                one.close()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
