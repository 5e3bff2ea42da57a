"""What a process uses, seen from outside: CPU time in nanoseconds, context switches, memory, system calls; and what the
machine itself did not get."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import tools
from support.processes import Child, run, scratch_folder
from support.waiting import wait_until

# What a proxy puts off to its next tick belongs to what it was asked.
SETTLE_S = 0.15
_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED


def cpu_ns(pid: int) -> int:
    """User and system time of all its threads so far, those that ended too.

    /proc/PID/stat has the same sum in ticks of 10 ms, and schedstat has it without the threads that ended.
    """
    return time.clock_gettime_ns((~pid << 3) | _CLOCK_OF_PROCESS)


def _ticks(pid: int) -> tuple[int, int]:
    """User and system time, in ticks: for the proportion of both alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def _switches(pid: int) -> dict[int, tuple[int, int]]:
    """Context switches of each thread, voluntary and not."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that just ended
            words = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            voluntary, other = words["voluntary_ctxt_switches"], words["nonvoluntary_ctxt_switches"]
            found[int(task.name)] = (int(voluntary), int(other))
    return found


@dataclass(frozen=True)
class Used:
    """What a process used over a stretch of work."""

    cpu_us: float
    system_part: float
    voluntary: int
    involuntary: int


class Meter:
    """Counts from its making to `used`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._switches = _switches(pid)
        self._ticks = _ticks(pid)
        self._cpu_ns = cpu_ns(pid)

    def used(self) -> Used:
        """Threads that ended meanwhile count in the CPU time, and their switches do not."""
        time.sleep(SETTLE_S)
        spent = cpu_ns(self._pid) - self._cpu_ns
        user, system = (now - before for now, before in zip(_ticks(self._pid), self._ticks, strict=True))
        switches = [0, 0]
        for thread, now in _switches(self._pid).items():
            before = self._switches.get(thread, (0, 0))
            for kind in (0, 1):
                switches[kind] += now[kind] - before[kind]
        return Used(spent / 1000, system / (user + system) if user + system else 0.0, switches[0], switches[1])


class Neighbours:
    """Counts from its making to `took`: what a hypervisor gave to others while this machine wanted it.

    Most of it is late wake-ups, which cost whoever sends them as well: ratios of such turns say little.
    """

    def __init__(self) -> None:
        self._before = _machine_ticks()

    def took(self) -> float:
        """A part of what the machine wanted, idle times left out."""
        stolen, wanted = (now - before for now, before in zip(_machine_ticks(), self._before, strict=True))
        return stolen / wanted if wanted else 0.0


def _machine_ticks() -> tuple[int, int]:
    """Stolen, and all that was not idle, that included (`man 5 proc_stat`)."""
    user, nice, system, _idle, _iowait, irq, softirq, stolen = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return stolen, user + nice + system + irq + softirq + stolen


@dataclass(frozen=True)
class Memory:
    """Bytes: resident, its proportional share, and what of that is the process's own (not mapped from files)."""

    rss: int
    pss: int
    anonymous: int


def memory(pid: int) -> Memory:
    words = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        words[name] = int(value.split()[0]) * 1024
    return Memory(words["Rss"], words["Pss"], words["Pss_Anon"])


@functools.cache
def syscall_tool() -> str | None:
    """What counts system calls here: perf, else strace, else nothing."""
    with contextlib.suppress(tools.Missing, AssertionError, subprocess.TimeoutExpired):
        run([tools.program("perf"), "stat", "-e", "raw_syscalls:sys_enter", "true"], deadline_s=20)
        return "perf"
    with contextlib.suppress(tools.Missing, AssertionError, subprocess.TimeoutExpired):
        run([tools.program("strace"), "-c", "true"], deadline_s=20)
        return "strace"
    return None


@contextlib.contextmanager
def syscalls(pid: int) -> Iterator[list[int]]:
    """Leaves in the list how many system calls the process made meanwhile; nothing where nobody can count them.

    Whoever counts slows the process: never in the same run as a measurement.
    """
    found: list[int] = []
    tool = syscall_tool()
    if tool is None:
        yield found
        return
    folder = scratch_folder("syscalls")
    answer = folder / "count"
    argv: list[str | Path]
    if tool == "perf":
        argv = ["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(pid), "-o", answer]
    else:
        argv = ["-f", "-c", "-o", answer, "-p", str(pid)]
    child = Child([tools.program(tool), *argv], folder / "log")

    def attached() -> bool:
        if child.exit_status is not None:
            raise RuntimeError(f"{tool} ended with {child.exit_status}\n{child.tail()}")
        if tool == "strace":
            return f"TracerPid:\t{child.pid}" in Path(f"/proc/{pid}/status").read_text()
        descriptors = Path(f"/proc/{child.pid}/fd")
        return any("perf_event" in os.readlink(one) for one in descriptors.iterdir())

    try:
        wait_until(attached, f"{tool} counts", refused=(OSError,))
        yield found
        child.send(signal.SIGINT)
        child.wait(20)
        found.append(_counted(tool, answer.read_text()))
    finally:
        child.kill()


def _counted(tool: str, text: str) -> int:
    if tool == "perf":
        return int(next(line for line in text.splitlines() if "raw_syscalls" in line).split(",")[0])
    return int(next(line for line in text.splitlines() if line.endswith("total")).split()[3])
