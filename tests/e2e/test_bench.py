"""The benchmark measures something: one short cell; wrong names are refused, kept rounds make the same page again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

from support import tools
from support.tools import PROJECT

sys.path.insert(0, str(PROJECT))

from bench import page, report, where  # noqa: E402
from bench.cells import CELLS  # noqa: E402
from bench.contenders import CONTENDERS, DIRECT  # noqa: E402
from bench.figures import contenders  # noqa: E402
from bench.results import CellResult, Results, Run, read  # noqa: E402


def bench(*arguments: str | Path, deadline_s: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=PROJECT,
        env=os.environ | {"PGPRISM_BIN": str(tools.pgprism())},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )


@pytest.mark.smoke
def test_a_cell_has_figures_of_each_contender(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    done = bench(
        "--cells", "simple-8", "--rounds", "1", "--seconds", "1", "--scale", "1",
        "--contenders", "haproxy,pgprism", "--json", file,
        deadline_s=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    cell = read(file).cells["simple-8"]
    assert contenders(cell) == ["haproxy", "pgprism"]
    for name in contenders(cell):
        (run,) = (one.figures for one in cell.runs if one.contender == name)
        assert run["rate"] > 100 and run["units"] > 100, run
        # Less than a microsecond of CPU for a query, or more than a debug build on a slow machine, is a mistake.
        assert 1 < run["cpu_us"] < 10_000, run
        assert 0 < run["p50_us"] <= run["p95_us"] <= run["p99_us"], run
        assert run["rss"] > 1_000_000 and run["voluntary"] > 0, run
        assert 0 <= run["system_part"] <= 1, run
        assert not cell.syscalls or 1 < cell.syscalls[name] < 100, cell.syscalls
    raw = json.loads(file.read_text())
    assert raw["machine"]["cores"] == str(os.cpu_count()) and "mode tcp" in raw["configs"]["haproxy"]
    assert "pgprism  " in done.stdout and "to HAProxy" in done.stdout


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cells", "simple-8,nothing"], "no cell is named 'nothing'; there are simple-1, "),
        (["--contenders", "nobody"], "no contender is named 'nobody'; there are direct, haproxy, "),
        (["--rounds", "0", "--seconds", "0.1"], "at least one round of one second"),
    ],
)
def test_what_there_is_not_is_refused(arguments: list[str], words: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2 and words in done.stderr, done.stderr


def _made_up(begun: str, cpu_us: float) -> Results:
    """A run of all cells in which every figure of pgprism is twice HAProxy's."""
    cells = {}
    for cell in CELLS.values():
        result = CellResult(cell.name, cell.unit, 2, 1.0, remarks=["10,000 queries a second, 0 events dropped"])
        for name in CONTENDERS:
            factor = 2.0 if name.startswith("pgprism") else 1.0
            names = ["rate", "p50_us", "p95_us", "p99_us"]
            if name != DIRECT:
                names += ["cpu_us", "system_part", "voluntary", "involuntary", "rss", "scrape_ms", "scrape_bytes",
                          "rss_each", "pss_each", "anonymous_each"]  # fmt: skip
            for at in (1, 10, 5000) if cell.group == "growth" else (None,):
                for number in (1, 2):
                    result.runs.append(Run(name, number, {one: cpu_us * factor * number for one in names}, at))
        cells[cell.name] = result
    machine = {"cpu": "made up", "cores": "2", "kernel": "6.1"}
    return Results(begun, "scripts/bench --full", "0123abc", machine, {}, 1, list(CONTENDERS), cells=cells)


@pytest.mark.smoke
def test_the_documentation_is_made_from_the_rounds(tmp_path: Path) -> None:
    _made_up("2026-01-02T00:00:00+00:00", 20.0).write(tmp_path / "b.json")
    _made_up("2026-01-01T00:00:00+00:00", 1000.0).write(tmp_path / "a.json")
    text = tmp_path / "performance.md"
    text.write_text(f"before\n{page.BEGIN}old\n{page.END}\nafter\n")
    page.write(tmp_path, text)
    told = text.read_text()
    assert told.startswith("before\n") and told.endswith("after\n") and "old" not in told
    (line,) = (line for line in told.splitlines() if line.startswith("| simple-8 "))
    # The later run: a median of 40 and 80 us, twice HAProxy's in both rounds.
    assert "| 60.00 | 2.00 (2.00..2.00) |" in line, line
    pictures = sorted(tmp_path.glob("*.svg"))
    assert len(pictures) == 8
    for picture in pictures:
        assert f"(performance/{picture.name})" in told
        xml.etree.ElementTree.parse(picture)
    first = (told, (tmp_path / "tables.md").read_text())
    page.write(tmp_path, text)
    assert first == (text.read_text(), (tmp_path / "tables.md").read_text())


@pytest.mark.smoke
def test_samples_are_told_apart_by_the_call_that_they_are_in() -> None:
    chains = {
        "writing: the way out": ["tcp_write_xmit", "__sys_sendto", "do_syscall_64"],
        "writing: the receiver's way in": ["tcp_v4_rcv", "net_rx_action", "__sys_sendto", "do_syscall_64"],
        "writing: waking the receiver": ["try_to_wake_up", "tcp_v4_rcv", "__sys_sendto", "do_syscall_64"],
        "reading": ["tcp_recvmsg", "__sys_recvfrom", "do_syscall_64"],
        "waiting": ["schedule", "do_epoll_wait", "do_syscall_64"],
        "the kernel's rest": ["asm_sysvec_apic_timer_interrupt"],
        "own code on relaying threads": ["pgprism::session::Session::take"],
    }
    stacks = [("pgprism-relay-0", chain) for chain in chains.values()]
    stacks += [("pgprism-analyse", ["schedule"]), ("pgprism-admin", ["__sys_sendto"])]
    script = [
        line
        for thread, chain in stacks
        for line in [f"{thread} ", *(f"\tffffffff8225aa01 {name}" for name in chain), ""]
    ]
    found = [where.place(*sample) for sample in where.samples(script)]
    assert found == [*chains, "the analysis", "other threads"]
    assert set(found) == set(where.ORDER)


@pytest.mark.smoke
def test_a_page_is_told_from_what_is_on_the_terminal() -> None:
    results = _made_up("2026-01-01T00:00:00+00:00", 20.0)
    told = [report.terminal(cell) for cell in results.cells.values()]
    assert all(name in one for name, one in zip(CELLS, told, strict=True))


@pytest.mark.smoke
def test_what_a_build_is_optimised_by_is_copied_once(tmp_path):
    """A younger file would have all of it built anew, each time that something is played with the program."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(tmp_path)}

    def told() -> tuple[bool, dict[str, int]]:
        flags = subprocess.run(
            [PROJECT / "scripts" / "release", "--flags"],
            env=environment, check=True, timeout=30, capture_output=True, text=True,
        ).stdout  # fmt: skip
        copies = (tmp_path / "profile").glob("*")
        return "-Cprofile-use=" in flags, {path.name: path.stat().st_mtime_ns for path in copies}

    optimised, first = told()
    assert optimised == bool(first)
    assert told() == (optimised, first)


@pytest.mark.smoke
def test_a_build_that_is_not_the_profiles_says_so(tmp_path):
    """The compiler does not: with another set of dependencies all symbols are others, and none is found."""
    rustc = subprocess.run(["rustc", "-vV"], check=True, timeout=30, capture_output=True, text=True).stdout
    facts = dict(line.split(": ") for line in rustc.splitlines() if ": " in line)
    recorded = PROJECT / "bench" / "profile" / f"{facts['host']}-rust-{facts['release']}.symbols"
    cargo = tmp_path / "bin" / "cargo"
    cargo.parent.mkdir()
    release = f"$CARGO_TARGET_DIR/{facts['host']}/release"
    cargo.write_text(f'#!/bin/sh\nmkdir -p "{release}" && cp "$BUILT" "{release}/pgprism"\n')
    cargo.chmod(0o755)

    def told_of(symbols: list[str]) -> str:
        """What is told of a program that has these symbols."""
        source, built = tmp_path / "built.s", tmp_path / "built.o"
        source.write_text("".join(f'"{symbol}": .byte 0\n' for symbol in symbols))
        subprocess.run(["cc", "-c", "-o", built, source], check=True, timeout=30)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PGPRISM_BIN"},
            "PATH": f"{cargo.parent}:{os.environ['PATH']}", "CARGO_TARGET_DIR": str(tmp_path), "BUILT": str(built),
        }  # fmt: skip
        return subprocess.run(
            [PROJECT / "scripts" / "release"],
            env=environment, check=True, timeout=30, capture_output=True, text=True,
        ).stderr  # fmt: skip

    if not recorded.exists():
        assert "plain release build" in told_of([])
        return
    symbols = recorded.read_text().split()
    assert len(symbols) > 100
    assert told_of(symbols) == ""
    assert f"of the {len(symbols)} functions" in told_of(symbols[: len(symbols) // 3])
