"""A benchmark that hangs measures nothing: every stretch of work has an end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class DeadlinePassed(Exception):
    """A cell took far longer than it should; its figures are thrown away."""


@contextlib.contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Raises in the main thread, whatever it waits for, once that time has passed."""

    def pass_it(*_: object) -> None:
        raise DeadlinePassed(f"{what}: not done within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, pass_it)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
