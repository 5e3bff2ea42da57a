"""Waiting for conditions with deadlines: nothing in these tests sleeps and hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlinePassed(AssertionError):
    """A condition did not become true in time; the message tells the last thing seen."""


def wait_until(
    condition: Callable[[], T],
    what: str,
    *,
    deadline_s: float = 10.0,
    every_s: float = 0.02,
    refused: tuple[type[BaseException], ...] = (),
) -> T:
    """Asks `condition` until its answer is true and returns that answer.

    Exceptions of the types in `refused` count as "not yet".
    """
    end = time.monotonic() + deadline_s
    last: object = None
    while True:
        try:
            answer = condition()
            if answer:
                return answer
            last = answer
        except refused as error:
            last = error
        if time.monotonic() > end:
            raise DeadlinePassed(f"{what}: not within {deadline_s} s; last seen: {last!r}")
        time.sleep(every_s)
