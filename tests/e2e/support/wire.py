"""A raw PostgreSQL v3 client and a scripted fake server: bytes that no driver would send."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .relay import reset

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
CANCEL_REQUEST = 80877102


def message(tag: bytes, body: bytes = b"") -> bytes:
    return tag + struct.pack("!i", len(body) + 4) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def startup(user: str, database: str, version: int = PROTOCOL_3_0, **parameters: str) -> bytes:
    words = {"user": user, "database": database} | parameters
    body = struct.pack("!i", version) + b"".join(text(k) + text(v) for k, v in words.items()) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def query(sql: str) -> bytes:
    return message(b"Q", text(sql))


def parse(name: str, sql: str, oids: tuple[int, ...] = ()) -> bytes:
    return message(b"P", text(name) + text(sql) + struct.pack(f"!h{len(oids)}I", len(oids), *oids))


def bind(portal: str, statement: str, *values: bytes | None) -> bytes:
    body = text(portal) + text(statement) + struct.pack("!hh", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"B", body + struct.pack("!h", 0))


def describe(kind: bytes, name: str) -> bytes:
    return message(b"D", kind + text(name))


def execute(portal: str, rows_max: int = 0) -> bytes:
    return message(b"E", text(portal) + struct.pack("!i", rows_max))


def close(kind: bytes, name: str) -> bytes:
    return message(b"C", kind + text(name))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


@dataclass(frozen=True)
class Message:
    """One message from the server."""

    tag: bytes
    body: bytes

    def fields(self) -> dict[str, str]:
        """The fields of an ErrorResponse or NoticeResponse."""
        return {part[:1].decode(): part[1:].decode() for part in self.body.split(b"\0") if part}

    @property
    def sqlstate(self) -> str:
        return self.fields().get("C", "")


class ServerError(AssertionError):
    """The server answered with an ErrorResponse that the test did not ask for."""

    def __init__(self, response: Message) -> None:
        super().__init__(str(response.fields()))
        self.response = response


class RawClient:
    """One connection whose every byte the test decides; logs in as a role that needs no password."""

    def __init__(
        self,
        endpoint: tuple[str, int],
        *,
        user: str = "raw",
        database: str = "postgres",
        version: int = PROTOCOL_3_0,
        receive_buffer_bytes: int | None = None,
        log_in: bool = True,
        tls: ssl.SSLContext | None = None,
        deadline_s: float = 30.0,
        **parameters: str,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            # Before connect: the window is agreed on there.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(deadline_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(endpoint)
        if tls is not None:
            self.socket.sendall(SSL_REQUEST)
            if self.socket.recv(1) != b"S":
                raise AssertionError("no TLS here")
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = bytearray()
        self.key = b""
        self.pid = 0
        self.parameters: dict[str, str] = {}
        if log_in:
            self.send(startup(user, database, version, **parameters))
            self.ready()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive_some(self, bytes_max: int = 65536) -> bytes:
        """Whatever is there, the rest of the last message first; empty at the end."""
        if self._buffer:
            data = bytes(self._buffer[:bytes_max])
            del self._buffer[:bytes_max]
            return data
        return self.socket.recv(bytes_max)

    def receive_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the connection ended {count - len(self._buffer)} bytes early")
            self._buffer += data
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def next(self) -> Message:
        head = self.receive_exactly(5)
        (length,) = struct.unpack("!i", head[1:])
        found = Message(head[:1], self.receive_exactly(length - 4))
        if found.tag == b"K":
            (self.pid,) = struct.unpack("!i", found.body[:4])
            self.key = found.body[4:]
        elif found.tag == b"S":
            name, value = found.body[:-1].split(b"\0")
            self.parameters[name.decode()] = value.decode()
        return found

    def until(self, tag: bytes) -> list[Message]:
        found = [self.next()]
        while found[-1].tag != tag:
            found.append(self.next())
        return found

    def ready(self) -> list[Message]:
        """Reads through the next ReadyForQuery; an ErrorResponse on the way is raised."""
        found = self.until_ready()
        for one in found:
            if one.tag == b"E":
                raise ServerError(one)
        return found

    def until_ready(self) -> list[Message]:
        """Reads through the next ReadyForQuery, errors and all; stops at the end of a FATAL."""
        found: list[Message] = []
        while True:
            one = self.next()
            found.append(one)
            if one.tag == b"Z":
                return found
            if one.tag == b"E" and one.fields().get("V") in ("FATAL", "PANIC"):
                raise ServerError(one)

    def ask(self, sql: str) -> list[Message]:
        self.send(query(sql))
        return self.ready()

    def rows(self, sql: str) -> list[list[bytes | None]]:
        return [columns(one.body) for one in self.ask(sql) if one.tag == b"D"]

    def rest(self) -> list[Message]:
        """Everything up to the end of the connection."""
        found = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(self.next())
        return found

    def finish_sending(self) -> None:
        """Half-closes: FIN towards the server, still reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        reset(self.socket)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(TERMINATE)
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def columns(body: bytes) -> list[bytes | None]:
    """The values of a DataRow."""
    (count,) = struct.unpack("!h", body[:2])
    at, values = 2, []
    for _ in range(count):
        (length,) = struct.unpack("!i", body[at : at + 4])
        at += 4
        values.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    return values


def cancel(endpoint: tuple[str, int], pid: int, key: bytes) -> None:
    """Sends a CancelRequest on its own connection and waits for its end."""
    with socket.create_connection(endpoint, timeout=10) as one:
        body = struct.pack("!ii", CANCEL_REQUEST, pid) + key
        one.sendall(struct.pack("!i", len(body) + 4) + body)
        assert one.recv(1) == b"", "a cancel request got an answer"


AUTHENTICATION_OK = message(b"R", struct.pack("!i", 0))
READY_IDLE = message(b"Z", b"I")
LOGIN = (
    AUTHENTICATION_OK
    + message(b"S", b"server_version\x0018.0\0")
    + message(b"S", b"client_encoding\0UTF8\0")
    + message(b"K", struct.pack("!i", 4242) + b"\1\2\3\4")
    + READY_IDLE
)


class FakeServer:
    """Accepts connections and runs `script(socket, startup bytes)` on each, in a thread of its own.

    It has no TLS, and says so when asked; without `declines_tls` that is the script's to answer.
    """

    def __init__(
        self,
        script: Callable[[socket.socket, bytes], None],
        listener: socket.socket | None = None,
        *,
        declines_tls: bool = True,
    ) -> None:
        self._script = script
        self._declines_tls = declines_tls
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.endpoint: tuple[str, int] = self._listener.getsockname()
        self.failures: list[BaseException] = []
        self._closed = False
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            one.settimeout(60)
            self._sockets.append(one)
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        try:
            packet = _receive_packet(one)
            if packet == SSL_REQUEST and self._declines_tls:
                one.sendall(b"N")
                packet = _receive_packet(one)
            self._script(one, packet)
        except (EOFError, ConnectionError):
            pass
        except BaseException as error:  # told to the test, which runs on another thread
            if not self._closed:
                self.failures.append(error)
        finally:
            one.close()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # Closing alone leaves a blocked accept() in place.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            one.close()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
        if exception[0] is None and self.failures:
            raise self.failures[0]


def _receive_packet(one: socket.socket) -> bytes:
    """A packet of the startup phase."""
    first = _receive(one, 4)
    (length,) = struct.unpack("!i", first)
    return first + _receive(one, length - 4)


def _receive(one: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = one.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


def frontend_messages(one: socket.socket) -> Iterator[Message]:
    """What a client sends behind its StartupMessage, whole messages at a time, until it goes."""
    with contextlib.suppress(EOFError):
        while True:
            head = _receive(one, 5)
            (length,) = struct.unpack("!i", head[1:])
            yield Message(head[:1], _receive(one, length - 4))
