"""The tables, on the terminal and in docs/comparison.md."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from support.tools import PROJECT

from .contenders import BARE, CONTENDERS, DEBUG
from .figures import Times
from .hearing import Said
from .verdicts import LOOK_ALIKES, OTHERS, RELATIONS, WITHOUT_MISTAKE, Verdict

PAGE = PROJECT / "docs" / "comparison.md"
BEGIN, END = "<!-- compare: written by `make compare` -->\n", "<!-- compare: end -->"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |\n" for line in lines)


def times_table(measured: Sequence[Times], counted: dict[str, Said]) -> str:
    head = ["with", *(f"{one.load.name}, {counted[one.load.path].words}" for one in measured)]
    rows = []
    for contender in CONTENDERS:
        cells = [contender.name]
        for times in measured:
            if contender is BARE:
                cells.append(f"{_median_ms(times):.1f} ms")
                continue
            low, high = times.interval(contender.name)
            cells.append(
                f"{times.ratio(contender.name):.2f} ({low:.2f} to {high:.2f}), {times.added_ms(contender.name):+.1f} ms"
            )
        rows.append(cells)
    return _table(head, rows)


def _median_ms(times: Times) -> float:
    ordered = sorted(times.seconds[BARE.name])
    return ordered[len(ordered) // 2] * 1000


def verdicts_table(verdicts: dict[str, Verdict], memory_mb: dict[str, str]) -> str:
    head = [
        "with", f"loops over a result's rows, of {len(RELATIONS)}", f"other repetition, of {len(OTHERS)}",
        f"pages without a mistake, of {WITHOUT_MISTAKE}", "memory, MB",
    ]  # fmt: skip
    rows = []
    for contender in CONTENDERS:
        verdict = verdicts.get(contender.name)
        if contender in (BARE, DEBUG):
            told = ["", "", ""]
        elif verdict is None:
            told = ["no verdict"] * 3
        else:
            told = [_told(verdict, RELATIONS), _told(verdict, OTHERS), _counted(verdict.false)]
        rows.append([contender.name, *told, memory_mb[contender.name]])
    return _table(head, rows)


def _told(verdict: Verdict, names: Sequence[str]) -> str:
    missed = verdict.missed(names)
    return f"{len(names) - len(missed)}" + (
        f" (not: {', '.join(missed)})" if missed and len(missed) < len(names) else ""
    )


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "0"


def words_table(words: dict[str, Said]) -> str:
    return _table(["with", "what it says of the page"], [[name, said.words] for name, said in words.items()])


def render(
    measured: Sequence[Times],
    counted: dict[str, Said],
    verdicts: dict[str, Verdict],
    words: dict[str, Said],
    memory_mb: dict[str, str],
    versions: dict[str, str],
    rounds: int,
) -> str:
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return (
        f"`make compare` on {today}, {rounds} rounds: {said}; Linux {platform.release()}, {os.cpu_count()} cores.\n\n"
        "Time of a request, as a multiple of the bare shop's in the same round: median, where it lies with 95 %, and the "
        f"median of what is added.\n\n{times_table(measured, counted)}\n"
        f"What is told without anybody looking, and how much more memory the worker has.\n\n"
        f"{verdicts_table(verdicts, memory_mb)}\n"
        "The same page, a list whose rows each ask for their publisher, in each tool's words:\n\n"
        f"{words_table(words)}\n"
        f"The pages without a mistake are the {WITHOUT_MISTAKE - len(LOOK_ALIKES)} problem pages with their mistake "
        f"removed, and {len(LOOK_ALIKES)} that repeat themselves rightly: {', '.join(LOOK_ALIKES)}.\n"
    )


def write(text: str, page: Path = PAGE) -> None:
    """Puts the tables between their marks; the words around them are the page's own."""
    old = page.read_text()
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{page} has no place for the tables")
    new = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: f"{BEGIN}{text}{END}", old, flags=re.DOTALL)
    page.write_text(new)
