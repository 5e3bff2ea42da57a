"""The figures as tables, for the terminal and for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .cells import CELLS
from .contenders import CONTENDERS, DIRECT, PGPRISM, UNOBSERVED, WITHOUT_FLOW
from .figures import UNITS, Spread, added, contenders, median, ratio
from .loads import QUANTILES
from .results import CellResult, Results

RIVALS = {"haproxy": "to HAProxy", "floor": "to floor", "pgbouncer": "to PgBouncer"}
TRAFFIC = ("queries", "bulk", "connections", "unix")


@dataclass
class Table:
    """A heading and rows of text; the first two columns are words, the others figures."""

    head: list[str]
    rows: list[list[str]]

    def terminal(self) -> str:
        widths = [max(len(row[at]) for row in [self.head, *self.rows]) for at in range(len(self.head))]

        def line(row: list[str]) -> str:
            words = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
            figures = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            return "  ".join([*words, *figures]).rstrip()

        return "\n".join(line(row) for row in [self.head, *self.rows])

    def markdown(self) -> str:
        rule = ["---", "---", *["---:"] * (len(self.head) - 2)]
        return "".join("| " + " | ".join(row) + " |\n" for row in [self.head, rule, *self.rows])


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _spread(value: Spread | None, digits: int = 2) -> str:
    return "" if value is None else value.text(digits)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _unit_of(cells: Sequence[CellResult]) -> str:
    (unit,) = {one.unit for one in cells}
    return unit


def costs(cells: Sequence[CellResult]) -> Table:
    """What each proxy itself uses for a unit of work."""
    unit = UNITS[_unit_of(cells)]
    head = ["cell", "proxy", f"CPU {unit.cpu} a {unit.name}", *RIVALS.values(), "of it system"]
    head += ["switches", "of them forced", "system calls", "RSS MiB", "stolen"]
    rows = []
    for cell in cells:
        for name in contenders(cell):
            if name == DIRECT:
                continue
            voluntary, involuntary = median(cell, name, "voluntary"), median(cell, name, "involuntary")
            system, stolen = median(cell, name, "system_part"), median(cell, name, "stolen")
            rows.append([
                cell.name,
                name,
                _number(_times(median(cell, name, "cpu_us"), unit.cpu_factor), 2),
                *("" if name == of else _spread(ratio(cell, name, of, "cpu_us")) for of in RIVALS),
                "" if system is None else f"{system:.0%}",
                _number(None if voluntary is None or involuntary is None else voluntary + involuntary, 2),
                _number(involuntary, 3),
                _number(cell.syscalls.get(name), 2),
                _number(_times(median(cell, name, "rss"), 1 / 2**20)),
                "" if stolen is None else f"{stolen:.0%}",
            ])  # fmt: skip
    return Table(head, rows)


def times(cells: Sequence[CellResult]) -> Table:
    """How much goes through, and how long it takes; beside the direct way."""
    unit = UNITS[_unit_of(cells)]
    has_latency = any("p50_us" in run.figures for cell in cells for run in cell.runs)
    head = ["cell", "proxy", unit.rate, *RIVALS.values()]
    if has_latency:
        head += [f"p{part} us" for part in QUANTILES] + [f"added p{part}" for part in QUANTILES]
        head += [f"p{part} to HAProxy" for part in QUANTILES]
    rows = []
    for cell in cells:
        for name in contenders(cell):
            row = [cell.name, name, _number(_times(median(cell, name, "rate"), unit.rate_factor), 0)]
            row += ["" if name == of else _spread(ratio(cell, name, of, "rate")) for of in RIVALS]
            if has_latency:
                quantiles = [f"p{part}_us" for part in QUANTILES]
                row += [_number(median(cell, name, one), 0) for one in quantiles]
                row += ["" if name == DIRECT else _spread(added(cell, name, DIRECT, one), 0) for one in quantiles]
                row += ["" if name == "haproxy" else _spread(ratio(cell, name, "haproxy", one)) for one in quantiles]
            rows.append(row)
    return Table(head, rows)


def summary(cells: Sequence[CellResult]) -> Table:
    """A line a cell: pgprism with everything on beside the others, and what the parts of its work add."""
    unit = UNITS[_unit_of(cells)]
    head = ["cell", "what", f"CPU {unit.cpu} a {unit.name}", *RIVALS.values(), "value flow", "observation",
            f"{unit.rate} to HAProxy"]  # fmt: skip
    head += [f"added p{part} us" for part in QUANTILES]
    rows = []
    for cell in cells:
        if PGPRISM not in contenders(cell):
            continue
        row = [cell.name, CELLS[cell.name].what if cell.name in CELLS else ""]
        row.append(_number(_times(median(cell, PGPRISM, "cpu_us"), unit.cpu_factor), 2))
        row += [_spread(ratio(cell, PGPRISM, of, "cpu_us")) for of in RIVALS]
        row += [_spread(ratio(cell, PGPRISM, of, "cpu_us")) for of in (WITHOUT_FLOW, UNOBSERVED)]
        row.append(_spread(ratio(cell, PGPRISM, "haproxy", "rate")))
        row += [_spread(added(cell, PGPRISM, DIRECT, f"p{part}_us"), 0) for part in QUANTILES]
        rows.append(row)
    return _without_empty(Table(head, rows))


def memory(cells: Sequence[CellResult]) -> Table:
    """What an idle connection takes."""
    head = ["cell", "proxy", "PSS KiB a connection", "RSS KiB a connection", "own KiB a connection", "own to HAProxy",
            "RSS MiB in all"]  # fmt: skip
    rows = [
        [
            cell.name,
            name,
            *(
                _number(_times(median(cell, name, one), 1 / 1024), 2)
                for one in ("pss_each", "rss_each", "anonymous_each")
            ),
            "" if name == "haproxy" else _spread(ratio(cell, name, "haproxy", "anonymous_each")),
            _number(_times(median(cell, name, "rss"), 1 / 2**20)),
        ]
        for cell in cells
        for name in contenders(cell)
    ]
    return Table(head, rows)


def growth(cells: Sequence[CellResult]) -> Table:
    """Cost by the number of something."""
    head = ["cell", "proxy", "at", "CPU us a query", "to HAProxy", "RSS MiB", "scrape ms", "scrape KiB"]
    rows = [
        [
            cell.name,
            name,
            f"{at:,}",
            _number(median(cell, name, "cpu_us", at), 2),
            "" if name == "haproxy" else _spread(ratio(cell, name, "haproxy", "cpu_us", at)),
            _number(_times(median(cell, name, "rss", at), 1 / 2**20)),
            _number(median(cell, name, "scrape_ms", at), 2),
            _number(_times(median(cell, name, "scrape_bytes", at), 1 / 1024)),
        ]
        for cell in cells
        for name in contenders(cell)
        for at in dict.fromkeys(one.at for one in cell.runs if one.contender == name and one.at is not None)
    ]
    return _without_empty(Table(head, rows))


def drops(cells: Sequence[CellResult]) -> Table:
    """What was asked for, and what was dropped: in the words of the cell."""
    rows = [[cell.name, PGPRISM, remark] for cell in cells for remark in cell.remarks]
    return Table(["cell", "proxy", "what came of it"], rows)


def _without_empty(table: Table) -> Table:
    """Columns that no row has a figure for say nothing."""
    kept = [at for at in range(len(table.head)) if at < 2 or any(row[at] for row in table.rows)]
    return Table([table.head[at] for at in kept], [[row[at] for at in kept] for row in table.rows])


def tables(group: str, cells: Sequence[CellResult]) -> list[Table]:
    """All that is told of cells of one group."""
    if group in TRAFFIC:
        found = [costs(cells), times(cells)]
    elif group == "memory":
        found = [memory(cells)]
    elif group == "growth":
        found = [growth(cells)]
    else:
        found = [drops(cells)]
    return [_without_empty(one) for one in found]


def heading(results: Results) -> str:
    """Machine, versions and contenders."""
    lines = [", ".join(f"{name} {value}" for name, value in results.machine.items())]
    versions = ", ".join(f"{name} {value}" for name, value in results.versions.items())
    lines.append(f"{versions}; commit {results.commit}")
    lines += [f"  {name:20} {CONTENDERS.get(name, '')}" for name in results.contenders]
    return "\n".join(lines)


def terminal(cell: CellResult) -> str:
    """One cell, as soon as it is done."""
    known = CELLS[cell.name]
    rounds = f"medians of {cell.rounds} rounds" if cell.rounds > 1 else "one round"
    lines = [f"\n{cell.name}: {known.what}; {rounds} of {cell.seconds:g} s (least..greatest)"]
    if known.group == "drops":
        return "\n".join([*lines, *(f"  {one}" for one in cell.remarks)])
    lines += [f"  {one}" for one in cell.remarks]
    found = tables(known.group, [cell])
    if known.group in TRAFFIC and PGPRISM in contenders(cell):
        found.append(_additions(cell))
    return "\n".join([*lines, *(one.terminal() for one in found if one.rows)])


def _additions(cell: CellResult) -> Table:
    """What the parts of pgprism's work add to its CPU."""
    names = {WITHOUT_FLOW: "value flow", UNOBSERVED: "observation"}
    rows = [
        [cell.name, what, _spread(found, 3)]
        for of, what in names.items()
        if (found := ratio(cell, PGPRISM, of, "cpu_us")) is not None
    ]
    return Table(["cell", "what it adds", "CPU with, to without"], rows)
