"""Whether the detectors keep up: no event may be dropped at a rate that a site has, nor at the highest there is."""

from __future__ import annotations

from dataclasses import replace

from .contenders import PGPRISM, started
from .loads import PIPELINED, select
from .paired import measure
from .results import CellResult, Run
from .stage import Stage

RATE = 10_000
RATE_S = 60
PIPELINE_S = 10
# What a rate of its own may miss by without being another.
REACHED = 0.98


def play(stage: Stage, result: CellResult) -> None:
    """Both loads once, through pgprism with everything on."""
    result.rounds = 1
    result.seconds = stage.seconds if stage.is_short else RATE_S
    loads = (
        (f"{RATE:,} queries a second", replace(select("simple"), rate=RATE), RATE_S),
        ("a pipeline of 20, as fast as it goes", PIPELINED, PIPELINE_S),
    )
    with started([PGPRISM], stage.server.address.endpoint, stage.address()) as (one,):
        before = 0
        for number, (what, load, its_seconds) in enumerate(loads, start=1):
            seconds = stage.seconds if stage.is_short else its_seconds
            stage.progress.now(f"{result.name}: {what} for {seconds:.0f} s")
            figures = measure(one, load, seconds)
            reasons = one.dropped()
            dropped = sum(reasons.values()) - before
            before += dropped
            result.runs.append(Run(PGPRISM, number, figures | {"dropped": dropped}))
            said = f"{what}: {figures['rate']:,.0f} queries a second for {figures['seconds']:.0f} s"
            said += f", {dropped:,} events dropped" + (f" ({', '.join(reasons)})" if dropped else "")
            if load.rate is not None and figures["rate"] < load.rate * REACHED:
                said += ", on a machine that does not reach the rate"
            result.remarks.append(said)
            if dropped:
                result.failures.append(said)
