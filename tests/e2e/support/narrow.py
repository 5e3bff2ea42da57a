"""A relay that takes little at a time: what is in front of it has to wait before it can write."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

_CHUNK_BYTES = 16 * 1024


class NarrowRelay:
    """Connects each client to `target` and takes one chunk every `pause_s`; answers pass at once."""

    def __init__(self, target: tuple[str, int], pause_s: float) -> None:
        self._target = target
        self._pause_s = pause_s
        self._listener = socket.socket()
        # Before listen: accepted sockets have the buffer of the one that listens.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._accept, name="narrow-accept", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(self._target, timeout=10)
            upstream.settimeout(None)
            for source, sink, pause_s in ((client, upstream, self._pause_s), (upstream, client, 0.0)):
                threading.Thread(target=self._carry, args=(source, sink, pause_s), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, pause_s: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                sink.sendall(data)
                time.sleep(pause_s)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
