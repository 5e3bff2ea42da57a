"""The documentation's part: a summary in docs/performance.md, all tables and plots in docs/performance/."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from . import PROJECT, plots, report
from .cells import CELLS, GROUPS
from .results import CellResult, Results, newest

FOLDER = PROJECT / "docs" / "performance"
PAGE = PROJECT / "docs" / "performance.md"
BEGIN, END = "<!-- bench: written by `scripts/bench --write` -->\n", "<!-- bench: end -->"
Found = tuple[CellResult, Results, Path]


def write(folder: Path = FOLDER, page: Path = PAGE) -> None:
    """Makes all of it again from the JSON files of the folder; of each cell the latest run counts."""
    found = [one for one in newest(folder) if one[0].name in CELLS]
    if not found:
        raise SystemExit(f"{folder} has no results: scripts/bench --full --write")
    drawn = plots.write([cell for cell, _, _ in found], folder)
    (folder / "tables.md").write_text(_tables(found))
    text = f"{BEGIN}{_summary(found, drawn)}{END}"
    old = page.read_text()
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{page} has no place for the table: {BEGIN.strip()} and {END}")
    page.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: text, old, flags=re.DOTALL))


def _by_unit(group: str, found: Sequence[Found]) -> dict[str, list[CellResult]]:
    """Cells of a group in the list's order, those of one unit together: they share a table."""
    units: dict[str, list[CellResult]] = {}
    by_name = {cell.name: cell for cell, _, _ in found}
    for name, known in CELLS.items():
        if known.group == group and name in by_name:
            units.setdefault(by_name[name].unit, []).append(by_name[name])
    return units


def _origin(group: str, found: Sequence[Found], folder: str) -> str:
    """Which commands, commits and machines the figures of a group are from."""
    runs: dict[Path, tuple[Results, list[CellResult]]] = {}
    for cell, results, path in found:
        if CELLS[cell.name].group == group:
            runs.setdefault(path, (results, []))[1].append(cell)
    lines = []
    for path, (results, cells) in runs.items():
        shapes = dict.fromkeys(f"{one.rounds} × {one.seconds:g} s" for one in cells)
        versions = ", ".join(f"{name} {value}" for name, value in results.versions.items())
        machine = results.machine
        names = ", ".join(one.name for one in cells)
        lines.append(
            f"`{results.command}` on {results.begun[:10]} at commit {results.commit} "
            f"([every round]({folder}{path.name})): {names}; {', '.join(shapes)} a contender. "
            f"{versions}; {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}.\n"
        )
    return "\n".join(lines)


def _summary(found: Sequence[Found], drawn: Sequence[Path]) -> str:
    parts = ["All contenders, with switches, system calls and memory: [all tables](performance/tables.md).\n"]
    for group, title in GROUPS.items():
        units = _by_unit(group, found)
        if not units:
            continue
        parts.append(f"### {title}\n\n{_origin(group, found, 'performance/')}")
        for cells in units.values():
            parts += [f"> {cell.name}: {remark}\n" for cell in cells for remark in cell.remarks if group != "drops"]
            if group in report.TRAFFIC:
                parts.append(report.summary(cells).markdown())
            else:
                parts += [table.markdown() for table in report.tables(group, cells)]
        if group == "growth":
            parts += [f"![{one.stem.replace('-', ' ')}](performance/{one.name})\n" for one in drawn]
    return "\n".join(parts) + "\n"


def _tables(found: Sequence[Found]) -> str:
    parts = [
        "# Performance: all tables\n\nWritten by `scripts/bench --write`. "
        "What they mean: [performance.md](../performance.md).\n"
    ]
    for group, title in GROUPS.items():
        for cells in _by_unit(group, found).values():
            parts.append(f"## {title}\n\n{_origin(group, found, '')}")
            parts += [table.markdown() for table in report.tables(group, cells)]
    return "\n".join(parts)
