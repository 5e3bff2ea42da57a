"""The in-process detectors, asked about the same scenarios."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


class Peer:
    """Collects what the tool of this run says; requests are watched by the tool's own middleware."""

    def __init__(self, tool: str | None) -> None:
        self.tool = tool
        self.said: list[str] = []
        if tool == "zeal":
            from zeal.signals import nplusone_detected

            nplusone_detected.connect(self._zeal, weak=False)
        elif tool == "nplusone":
            logger = logging.getLogger("nplusone")
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
            logger.addHandler(_Handler(self))

    def _zeal(self, sender: Any, **detected: Any) -> None:
        self.said.append(str(detected.get("message", "detected")))

    def notify(self, message: Any) -> None:
        """nplusone's profile protocol."""
        self.keep(message.message)

    def keep(self, words: str) -> None:
        # nplusone also tells of eager loads that nobody used: another subject.
        if "n+1" in words:
            self.said.append(words)

    @contextlib.contextmanager
    def watching_job(self) -> Iterator[None]:
        """Around code that is no request, where no middleware runs."""
        if self.tool == "zeal":
            from zeal import zeal_context

            with zeal_context():
                yield
        elif self.tool == "nplusone":
            from nplusone.core import listeners

            active = [kind(self) for kind in listeners.listeners.values()]
            for listener in active:
                listener.setup()
            try:
                yield
            finally:
                for listener in active:
                    listener.teardown()
        else:
            yield

    def take(self) -> list[str]:
        said, self.said = self.said, []
        return said


class _Handler(logging.Handler):
    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer

    def emit(self, record: logging.LogRecord) -> None:
        self._peer.keep(record.getMessage())
