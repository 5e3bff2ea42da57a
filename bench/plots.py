"""How cost grows, as SVG files: lines over a logarithmic axis, without a library for the sake of six pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from .contenders import CONTENDERS
from .figures import contenders, median
from .results import CellResult

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 170, 36, 48
_COLOURS = dict(
    zip(CONTENDERS, ("#555555", "#1f77b4", "#2ca02c", "#8c564b", "#d62728", "#ff7f0e", "#9467bd"), strict=True)
)


@dataclass(frozen=True)
class Plot:
    """One figure of one cell."""

    cell: str
    figure: str
    title: str
    unit: str
    factor: float = 1.0

    @property
    def file_name(self) -> str:
        return f"{self.cell}-{self.figure.replace('_', '-')}.svg"


PLOTS = tuple(
    Plot(f"growth-{what}", figure, title.format(what), unit, factor)
    for what in ("connections", "fingerprints")
    for figure, title, unit, factor in (
        ("cpu_us", "CPU for each query, by {}", "us", 1.0),
        ("rss", "resident memory, by {}", "MiB", 1 / 2**20),
        ("scrape_ms", "time of a scrape, by {}", "ms", 1.0),
        ("scrape_bytes", "size of a scrape, by {}", "KiB", 1 / 1024),
    )
)
Line = list[tuple[int, float]]


def write(cells: Sequence[CellResult], folder: Path) -> list[Path]:
    """Draws what the cells have figures for; the files that there are now."""
    by_name = {cell.name: cell for cell in cells}
    drawn = []
    for plot in PLOTS:
        lines = _lines(by_name[plot.cell], plot) if plot.cell in by_name else {}
        if lines:
            path = folder / plot.file_name
            path.write_text(svg(plot, lines))
            drawn.append(path)
    return drawn


def _lines(cell: CellResult, plot: Plot) -> dict[str, Line]:
    found: dict[str, Line] = {}
    for name in contenders(cell):
        for at in sorted({one.at for one in cell.runs if one.contender == name and one.at is not None}):
            value = median(cell, name, plot.figure, at)
            if value is not None:
                found.setdefault(name, []).append((at, value * plot.factor))
    return found


def svg(plot: Plot, lines: dict[str, Line]) -> str:
    """The picture: x logarithmic, y from 0."""
    places = sorted({at for line in lines.values() for at, _ in line})
    low, high = math.log10(places[0]), math.log10(max(places[-1], places[0] * 10))
    top = _round_up(max(value for line in lines.values() for _, value in line))

    def x(at: float) -> float:
        return _LEFT + (math.log10(at) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)

    def text(at_x: float, at_y: float, words: str, anchor: str = "middle", colour: str = "#333333") -> str:
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        text(_LEFT, 20, f"{plot.title} ({plot.unit})", "start"),
    ]
    for step in range(5):
        value = top * step / 4
        parts.append(f'<path d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}" stroke="#dddddd"/>')
        parts.append(text(_LEFT - 6, y(value) + 4, f"{value:,.4g}", "end"))
    parts += [text(x(at), _HEIGHT - _BOTTOM + 18, f"{at:,}") for at in places]
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, plot.cell.removeprefix("growth-")))
    for row, (name, line) in enumerate(lines.items()):
        colour = _COLOURS.get(name, "#000000")
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>' for at, value in line]
        parts.append(text(_WIDTH - _RIGHT + 12, _TOP + 12 + 18 * row, name, "start", colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _round_up(value: float) -> float:
    """A number that is read easily, and not less."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value)
