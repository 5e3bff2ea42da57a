"""A TCP relay that keeps what passes: the witness on both sides of the proxy."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .processes import scratch_folder
from .waiting import wait_until

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_GSSENC_REQUEST = bytes.fromhex("0000000804d21630")


class Negotiation(enum.Enum):
    """What the proxy does with SSLRequest and GSSENCRequest."""

    ANSWERED = "answered by the proxy, not seen upstream"
    PASSED_ON = "part of the bytes that must be equal"


@dataclass
class Recording:
    """One connection: what each side sent, kept in files so that size does not matter."""

    index: int
    client_file: Path
    upstream_file: Path
    client_ended: threading.Event = field(default_factory=threading.Event)
    upstream_ended: threading.Event = field(default_factory=threading.Event)

    def client_bytes(self) -> bytes:
        return self.client_file.read_bytes()

    def upstream_bytes(self) -> bytes:
        return self.upstream_file.read_bytes()

    @property
    def ended(self) -> bool:
        return self.client_ended.is_set() and self.upstream_ended.is_set()

    def without_negotiation(self) -> tuple[bytes, bytes]:
        """Both streams without SSLRequest and GSSENCRequest and their one-byte answers.

        The proxy ends these itself: the one difference that it may make.
        """
        client, upstream = self.client_bytes(), self.upstream_bytes()
        while client.startswith((_SSL_REQUEST, _GSSENC_REQUEST)):
            client = client[8:]
            answer, upstream = upstream[:1], upstream[1:]
            assert answer in (b"N", b""), f"negotiation answered {answer!r}"
        return client, upstream

    def streams(self, negotiation: Negotiation) -> tuple[bytes, bytes]:
        if negotiation is Negotiation.PASSED_ON:
            return self.client_bytes(), self.upstream_bytes()
        return self.without_negotiation()

    def digest(self, negotiation: Negotiation) -> tuple[int, str, int, str]:
        client, upstream = self.streams(negotiation)
        return (
            len(client),
            hashlib.sha256(client).hexdigest(),
            len(upstream),
            hashlib.sha256(upstream).hexdigest(),
        )


class RecordingRelay:
    """Listens on a free port, connects each client to `target`, records both directions.

    It keeps ends as they are: FIN becomes FIN, RST becomes RST.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.recordings: list[Recording] = []
        self._folder = scratch_folder("relay")
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._accepting = threading.Thread(target=self._accept, name="relay-accept", daemon=True)
        self._accepting.start()

    @property
    def port(self) -> int:
        return self.address[1]

    def retarget(self, target: tuple[str, int]) -> None:
        """Where connections from now on go to."""
        self.target = target

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                index = len(self.recordings)
                recording = Recording(
                    index, self._folder / f"{index}.client", self._folder / f"{index}.upstream"
                )
                recording.client_file.touch()
                recording.upstream_file.touch()
                self.recordings.append(recording)
            threading.Thread(target=self._serve, args=(client, recording), daemon=True).start()

    def _serve(self, client: socket.socket, recording: Recording) -> None:
        try:
            upstream = socket.create_connection(self.target, timeout=10)
        except OSError:
            client.close()
            recording.client_ended.set()
            recording.upstream_ended.set()
            return
        upstream.settimeout(None)
        for end in (client, upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets |= {client, upstream}
        other = threading.Thread(
            target=_pump,
            args=(upstream, client, recording.upstream_file, recording.upstream_ended),
            daemon=True,
        )
        other.start()
        _pump(client, upstream, recording.client_file, recording.client_ended)
        other.join()
        with self._lock:
            self._sockets -= {client, upstream}
        client.close()
        upstream.close()

    def wait_ended(self, deadline_s: float = 10.0) -> list[Recording]:
        """All recordings, once every connection so far has ended both ways."""
        wait_until(
            lambda: all(recording.ended for recording in list(self.recordings)),
            "every relayed connection ends",
            deadline_s=deadline_s,
        )
        return list(self.recordings)

    def close(self) -> None:
        # Closing alone leaves a blocked accept() in place.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends = list(self._sockets)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for recording in self.recordings:
            recording.client_file.unlink(missing_ok=True)
            recording.upstream_file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def __enter__(self) -> RecordingRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reset(end: socket.socket) -> None:
    """Closes `end` with RST instead of FIN."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def _pump(source: socket.socket, sink: socket.socket, record: Path, ended: threading.Event) -> None:
    try:
        with record.open("ab", buffering=0) as copy:
            while data := source.recv(65536):
                copy.write(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        reset(sink)
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
    finally:
        ended.set()


def assert_same_bytes(
    outside: RecordingRelay, inside: RecordingRelay, negotiation: Negotiation = Negotiation.ANSWERED
) -> int:
    """Every connection outside the proxy has its equal inside, byte for byte both ways; returns how many."""
    before = {recording.index: recording for recording in outside.wait_ended()}
    after = {recording.index: recording for recording in inside.wait_ended()}
    digests: dict[tuple[int, str, int, str], list[int]] = {}
    for recording in after.values():
        digests.setdefault(recording.digest(negotiation), []).append(recording.index)
    unmatched = []
    for recording in before.values():
        matches = digests.get(recording.digest(negotiation))
        if matches:
            after.pop(matches.pop())
        else:
            unmatched.append(recording)
    # A connection that only asked for TLS and left never reaches the upstream; the proxy's own look whether the
    # upstream is there says nothing.
    unmatched = [recording for recording in unmatched if recording.streams(negotiation) != (b"", b"")]
    unasked = [recording for recording in after.values() if recording.streams(negotiation) != (b"", b"")]
    if unmatched or unasked:
        raise AssertionError(_difference(unmatched, unasked, negotiation))
    return len(before)


def _difference(outside: list[Recording], inside: list[Recording], negotiation: Negotiation) -> str:
    lines = [f"{len(outside)} connections outside and {len(inside)} inside have no equal"]
    for recording in outside[:5]:
        client, upstream = recording.streams(negotiation)
        lines.append(f"outside #{recording.index}: client {len(client)} bytes, upstream {len(upstream)} bytes")
        for other in inside[:5]:
            other_client, other_upstream = other.streams(negotiation)
            for side, a, b in (("client", client, other_client), ("upstream", upstream, other_upstream)):
                at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
                lines.append(
                    f"  inside #{other.index} {side}: {len(a)} and {len(b)} bytes, differ at {at}: "
                    f"{a[at : at + 24]!r} and {b[at : at + 24]!r}"
                )
    return "\n".join(lines)
