"""What was measured, as it is kept: one JSON file a run, every single round in it, so that tables can be made again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """One turn of one contender; `at` is the number of connections or fingerprints where a cell has several."""

    contender: str
    round: int
    figures: dict[str, float]
    at: int | None = None


@dataclass
class CellResult:
    """All turns of a cell."""

    name: str
    unit: str
    rounds: int
    seconds: float
    runs: list[Run] = field(default_factory=list)
    # For each unit, counted in a turn of its own.
    syscalls: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    took_s: float = 0.0

    def of(self, contender: str, figure: str, at: int | None = None) -> dict[int, float]:
        """That figure by round; rounds without it are missing."""
        return {
            one.round: one.figures[figure]
            for one in self.runs
            if one.contender == contender and figure in one.figures and (at is None or one.at == at)
        }


@dataclass
class Results:
    """One run of the benchmark."""

    begun: str
    command: str
    commit: str
    machine: dict[str, str]
    versions: dict[str, str]
    seed: int
    contenders: list[str]
    # What each of them ran with, as it stood in its file.
    configs: dict[str, str] = field(default_factory=dict)
    cells: dict[str, CellResult] = field(default_factory=dict)
    format: int = FORMAT

    def write(self, path: Path) -> None:
        """Whole or not at all: a run may be ended at any time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(_pretty(asdict(self)))
        os.replace(new, path)


def _pretty(value: dict[str, Any]) -> str:
    """A run a line: to be read, and compared by `git diff`."""
    runs: list[str] = []

    def hide(one: Any) -> Any:
        if isinstance(one, dict):
            if one.keys() >= {"contender", "figures"}:
                figures = {name: _rounded(figure) for name, figure in one["figures"].items()}
                runs.append(json.dumps(one | {"figures": figures}))
                return f"@{len(runs) - 1}@"
            return {key: hide(part) for key, part in one.items()}
        return [hide(part) for part in one] if isinstance(one, list) else one

    text = json.dumps(hide(value), indent=1)
    for number, run in enumerate(runs):
        text = text.replace(f'"@{number}@"', run, 1)
    return text + "\n"


def _rounded(figure: float) -> float:
    """Six digits: more than any of them is worth."""
    return figure if isinstance(figure, int) else float(f"{figure:.6g}")


def read(path: Path) -> Results:
    raw = json.loads(path.read_text())
    if raw.get("format") != FORMAT:
        raise ValueError(f"{path}: format {raw.get('format')}, this reads {FORMAT}")
    cells = {
        name: CellResult(**(cell | {"runs": [Run(**one) for one in cell["runs"]]}))
        for name, cell in raw.pop("cells").items()
    }
    return Results(**raw, cells=cells)


def newest(folder: Path) -> list[tuple[CellResult, Results, Path]]:
    """Each cell as its latest run has it, over all files of a folder."""
    found: dict[str, tuple[CellResult, Results, Path]] = {}
    every = [(read(path), path) for path in sorted(folder.glob("*.json"))]
    for results, path in sorted(every, key=lambda one: one[0].begun):
        for name, cell in results.cells.items():
            found[name] = (cell, results, path)
    return list(found.values())
