"""A relay that is far away: what it passes on arrives half a round trip later."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time


class DelayRelay:
    """Connects each client to `target`; every read arrives `round_trip_s / 2` later, in order, each way.

    A read is passed on when its own time has come, whatever is still under way behind it: the delay is added to
    latency and takes nothing from throughput, as on a longer wire.
    """

    def __init__(self, target: tuple[str, int], round_trip_s: float) -> None:
        self._target = target
        self._one_way_s = round_trip_s / 2
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._accept, name="delay-accept", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            upstream = socket.create_connection(self._target, timeout=10)
        except OSError:
            client.close()
            return
        upstream.settimeout(None)
        with self._lock:
            self._sockets |= {client, upstream}
        for end in (client, upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = [
            threading.Thread(target=self._carry, args=ends, daemon=True)
            for ends in ((client, upstream), (upstream, client))
        ]
        for way in ways:
            way.start()
        for way in ways:
            way.join()
        with self._lock:
            self._sockets -= {client, upstream}
        client.close()
        upstream.close()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        deliver = threading.Thread(target=self._deliver, args=(under_way, sink), daemon=True)
        deliver.start()
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                under_way.put((time.monotonic() + self._one_way_s, data))
        under_way.put((time.monotonic() + self._one_way_s, b""))
        deliver.join()

    def _deliver(self, under_way: queue.SimpleQueue[tuple[float, bytes]], sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = under_way.get()
                left = due - time.monotonic()
                if left > 0:
                    time.sleep(left)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)

    def close(self) -> None:
        # Closing alone leaves a blocked accept() in place.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends = list(self._sockets)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> DelayRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
