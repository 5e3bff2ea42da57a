#!/usr/bin/env python3
"""Where the CPU of the proxy goes while a cell is played, by samples of all its threads (`perf record -e cpu-clock`).

    scripts/release .venv/bin/python bench/where.py simple-8 simple-128

A sample of a thread that relays belongs to the system call that it was in, one inside of a write to its way out, to the
receiver's way in, which loopback has the sender walk, or to waking the receiver. Needs perf, the right to sample other
processes' kernel code (`/proc/sys/kernel/perf_event_paranoid`), and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from support import tools  # noqa: E402
from support.processes import run, scratch_folder  # noqa: E402

SAMPLES_A_SECOND = 2_000
WAKING = ("try_to_wake_up", "sock_def_readable")
RECEIVING = ("tcp_v4_rcv", "net_rx_action", "__netif_receive_skb")
# What a relaying thread's sample is in, by functions of the kernel that are in its call chain: the first that fits.
CALLS = {
    "reading": ("sys_recvfrom", "sys_recvmsg", "sys_read"),
    "waiting": ("epoll_wait", "epoll_pwait"),
    "the kernel's rest": ("entry_SYSCALL", "do_syscall_64", "asm_", "ret_from", "schedule"),
}
WRITES = ("sys_sendto", "sys_sendmsg", "sys_write")
ORDER = (
    "writing: the way out", "writing: the receiver's way in", "writing: waking the receiver", "waiting", "reading",
    "the kernel's rest", "own code on relaying threads", "the analysis", "other threads",
)


def samples(script: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Thread and call chain, innermost first, of each sample of `perf script -F comm,ip,sym`."""
    thread, chain = "", []
    for line in [*script, ""]:
        if not line.strip():
            if thread:
                yield thread, " ".join(chain)
            thread, chain = "", []
        elif not thread:
            thread = line.split()[0]
        else:
            chain.append(line.strip().partition(" ")[2])


def place(thread: str, chain: str) -> str:
    """Which of `ORDER` a sample belongs to."""
    if thread.startswith("pgprism-analyse"):
        return "the analysis"
    if not thread.startswith("pgprism-relay"):
        return "other threads"
    if any(name in chain for name in WRITES):
        if any(name in chain for name in WAKING):
            return "writing: waking the receiver"
        if any(name in chain for name in RECEIVING):
            return "writing: the receiver's way in"
        return "writing: the way out"
    fitting = (call for call, names in CALLS.items() if any(name in chain for name in names))
    return next(fitting, "own code on relaying threads")


def measure(cell: str, seconds: int) -> collections.Counter[str]:
    """Samples by place while pgprism, everything on, is played one turn."""
    data = scratch_folder("where") / "perf.data"
    bench = ["-m", "bench", "--cells", cell, "--rounds", "1", "--seconds", str(seconds), "--contenders", "pgprism"]
    record = [tools.program("perf"), "record", "-q", "-a", "-g", "-e", "cpu-clock", "-F", str(SAMPLES_A_SECOND)]
    played = run([*record, "-o", data, sys.executable, *bench], cwd=PROJECT, deadline_s=120 + 4 * seconds)
    print(*(line for line in played.stdout.splitlines() if line.startswith(f"{cell} ")), sep="\n")
    script = run([tools.program("perf"), "script", "-i", data, "-F", "comm,ip,sym"], deadline_s=600)
    ours = (one for one in samples(script.stdout.splitlines()) if one[0].startswith("pgprism-"))
    return collections.Counter(place(*one) for one in ours)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", default=["simple-8", "simple-128"], help="as `scripts/bench --list` tells them")
    parser.add_argument("--seconds", type=int, default=10, help="of one turn (10)")
    arguments = parser.parse_args()
    for cell in arguments.cells:
        found = measure(cell, arguments.seconds)
        total = found.total()
        if not total:
            print(f"{cell}: no sample of pgprism's threads: is the cell's name right, and may perf sample?", file=sys.stderr)
            return 1
        print(f"{cell}: {total:,} samples")
        for name in ORDER:
            print(f"  {name:<32} {100 * found[name] / total:5.1f} %")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
