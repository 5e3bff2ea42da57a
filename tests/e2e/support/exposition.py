"""Prometheus' text format, as far as the tests read it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?')
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


@dataclass(frozen=True)
class Sample:
    """One line: a series and its value."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float

    def label(self, name: str) -> str:
        return dict(self.labels).get(name, "")


class Scrape:
    """All samples of one answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.types: dict[str, str] = {}
        self.samples: list[Sample] = []
        # The format knows no other end of a line: a carriage return is part of a label's value.
        for line in text.split("\n"):
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self.samples.append(_sample(line))

    def series(self, name: str, **labels: str) -> list[Sample]:
        """The samples of `name` that carry these labels."""
        return [
            sample
            for sample in self.samples
            if sample.name == name and all(sample.label(key) == value for key, value in labels.items())
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of `name` that carry these labels; 0 when there is none."""
        return math.fsum(sample.value for sample in self.series(name, **labels))

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every series that must never decrease: counters and the parts of histograms."""
        rising = {}
        for sample in self.samples:
            family = re.sub(r"_(bucket|sum|count)$", "", sample.name)
            if self.types.get(sample.name) == "counter" or self.types.get(family) == "histogram":
                rising[(sample.name, sample.labels)] = sample.value
        return rising


def _sample(line: str) -> Sample:
    found = _SAMPLE.match(line)
    if found is None:
        raise AssertionError(f"not a sample: {line!r}")
    labels = tuple(
        (name, re.sub(r"\\[n\"\\]", lambda escape: _ESCAPES[escape[0]], value))
        for name, value in _LABEL.findall(found["labels"] or "")
    )
    return Sample(found["name"], labels, float(found["value"]))
