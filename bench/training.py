"""Plays what a program that is built to be profiled is to learn from: `scripts/profile`.

All that is played counts alike: each kind of query has a turn, results and COPY one each, so that no loop over rows
makes the path of a small query look cold.
"""

from __future__ import annotations

import os
import random
import sys

from support.proxy import Pgprism

from . import streams
from .loads import CHURN, PIPELINED, TPCB, Load, django, select
from .stage import Progress, Stage, server

SCALE = 10
TURN_S = 2.0
# So short that it is one statement.
ONCE_S = 0.001


def _turns() -> list[tuple[str, Load, float, str]]:
    """Name, load, seconds and user of each turn."""
    queries: dict[str, Load] = {
        f"{mode}-{clients}": select(mode, clients)
        for mode in ("simple", "extended", "prepared")
        for clients in (1, 8, 32)
    }
    queries |= {"tpcb": TPCB, "pipeline": PIPELINED, "django": django}
    bulk = (streams.rows_small, streams.rows_large, streams.copy_out, streams.copy_in)
    return [
        *((name, load, TURN_S, "raw") for name, load in queries.items()),
        *((load.__name__, load, ONCE_S, "raw") for load in bulk),
        # It logs in with SCRAM, as a user with a password does.
        ("churn", CHURN, TURN_S, "app"),
    ]


def main() -> int:
    progress = Progress()
    with server(SCALE) as running:
        stage = Stage(running, [], 1, TURN_S, random.Random(1), progress)
        proxy = Pgprism(running.address.endpoint, slow_log={"threshold": "100ms"})
        # It counts as it works: its end, too, takes longer.
        proxy.expect.ends_within_s = 60
        for name, load, seconds, user in _turns():
            progress.now(name)
            done = load(stage.address(user).at(proxy.endpoint), seconds)
            if not done.queries:
                raise RuntimeError(f"{name} asked nothing")
            proxy.metrics()
            progress.say(f"{name}: {done.queries} queries")
        proxy.stop()
    return 0


if __name__ == "__main__":
    if "PGPRISM_BIN" not in os.environ:
        sys.exit("PGPRISM_BIN names the build that is profiled: scripts/profile makes it")
    sys.exit(main())
