"""Cells in which every contender plays the same load, in another order each round: ratios within a round count."""

from __future__ import annotations

from dataclasses import asdict

from support.rivals import UnixSocket

from .contenders import DIRECT, Contender, started
from .loads import Done, Load
from .measure import Meter, Neighbours, memory, syscall_tool, syscalls
from .results import CellResult, Run
from .stage import Stage

WARM_UP_S = 1.0


def play(
    stage: Stage,
    result: CellResult,
    load: Load,
    *,
    user: str = "raw",
    leaves_out: tuple[str, ...] = (),
    unix: bool = False,
) -> None:
    """All rounds of one load."""
    upstream = UnixSocket(stage.server.socket_folder, stage.server.port) if unix else stage.server.address.endpoint
    names = [one for one in stage.contenders if one not in leaves_out]
    with started(names, upstream, stage.address(user)) as found:
        by_name = {one.name: one for one in found}
        differs = f", {result.name}" if unix or user != "raw" else ""
        stage.configs |= {one.name + differs: one.config for one in found if one.config}
        for one in found:
            stage.progress.now(f"{result.name}: {one.name} warms up")
            calls = _count_syscalls(one, load)
            if calls is not None:
                result.syscalls[one.name] = calls
        if syscall_tool() is None:
            result.remarks.append("no system calls: neither perf nor strace can count them here")
        for number in range(1, result.rounds + 1):
            for name in stage.shuffled(names):
                stage.progress.now(f"{result.name}: round {number} of {result.rounds}, {name}")
                figures = measure(by_name[name], load, result.seconds)
                result.runs.append(Run(name, number, figures))
        for one in found:
            if dropped := one.dropped():
                result.remarks.append(f"{one.name} dropped events: {dropped}")


def _count_syscalls(one: Contender, load: Load) -> float | None:
    """A turn that warms up and is not measured: counting system calls costs some."""
    if one.process is None:
        load(one.address, WARM_UP_S)
        return None
    with syscalls(one.process.pid) as counted:
        done = load(one.address, WARM_UP_S)
    one.check_counted(done.queries)
    return counted[0] / done.units if counted else None


def measure(one: Contender, load: Load, seconds: float) -> dict[str, float]:
    """One turn; its figures by name, those of the process for each unit of work."""
    if one.process is None:
        return _of_load(load(one.address, seconds))
    meter, neighbours = Meter(one.process.pid), Neighbours()
    with one.scraped():
        done = load(one.address, seconds)
    stolen = neighbours.took()
    used = meter.used()
    held = memory(one.process.pid)
    one.check_counted(done.queries)
    return _of_load(done) | {
        "cpu_us": used.cpu_us / done.units,
        "system_part": used.system_part,
        "voluntary": used.voluntary / done.units,
        "involuntary": used.involuntary / done.units,
        "stolen": stolen,
        **asdict(held),
    }


def _of_load(done: Done) -> dict[str, float]:
    return {"rate": done.rate, "units": done.units, "seconds": done.seconds} | done.quantiles


def unix(stage: Stage, result: CellResult, load: Load) -> None:
    """Over the server's Unix socket: not for the load itself, and not for the floor, which knows TCP alone."""
    play(stage, result, load, leaves_out=(DIRECT, "floor"), unix=True)
