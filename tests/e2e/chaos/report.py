"""The results as people read them: on the terminal, and as the table of docs/reliability.md."""

from __future__ import annotations

import datetime
import os
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

from support.tools import PROJECT

from .ledger import Balance

PAGE = PROJECT / "docs" / "reliability.md"
_BEGIN, _END = "<!-- chaos: written by `make chaos` -->\n", "<!-- chaos: end -->"


@dataclass
class Result:
    """One contender in one scenario."""

    scenario: str
    contender: str
    balance: Balance | None = None
    remarks: list[str] = field(default_factory=list)
    failure: str | None = None
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return self.failure is None and self.balance is not None and self.balance.is_clean

    def cells(self) -> list[str]:
        if self.balance is None:
            return [self.scenario, self.contender, *["–"] * 7, self.failure or ""]
        one = self.balance
        unknown = (
            f"{one.unknown_there} + {one.unknown_absent}" if one.unknown_there or one.unknown_absent else "0"
        )
        lost = one.lost + one.torn
        return [
            self.scenario,
            self.contender,
            str(one.committed),
            f"{lost}"
            if not one.undone_but_there
            else f"{lost} (and {one.undone_but_there} undone that are there)",
            str(one.duplicated),
            str(one.crossed),
            unknown,
            f"{one.lost_sessions} / {one.refused}",
            f"{one.longest_gap_s:.2f}",
            "; ".join([*self.remarks, *([self.failure] if self.failure else [])]),
        ]


HEAD = ["scenario", "proxy", "committed", "lost", "duplicated", "crossed", "unknown: there + not",
        "sessions lost / refused", "longest gap, s", "remarks"]  # fmt: skip


def table(results: list[Result]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(one.cells() for one in results)]
    return "".join(
        "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in line) + " |\n" for line in lines
    )


def write_page(
    results: list[Result], versions: dict[str, str], command: str, seconds: float, page: Path = PAGE
) -> None:
    """Puts the table between its marks; the words around it are the page's own."""
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    text = (
        f"{_BEGIN}`{command}` on {today} in {seconds / 60:.1f} minutes: {said}; Linux {platform.release()}, "
        f"{os.cpu_count()} cores.\n\n{table(results)}{_END}"
    )
    old = page.read_text()
    assert _BEGIN in old and _END in old, f"{page} has no place for the table"
    page.write_text(re.sub(re.escape(_BEGIN) + ".*?" + re.escape(_END), lambda _: text, old, flags=re.DOTALL))
