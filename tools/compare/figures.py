"""Times of many visits, paired: each round visits every contender once, in an order of its own."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .contenders import BARE, CONTENDERS
from .stage import Stage


@dataclass(frozen=True)
class Load:
    """A page that is timed."""

    name: str
    path: str


@dataclass
class Times:
    """Seconds of each round, by contender, of one page."""

    load: Load
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """The median over the rounds of this contender's time to that of the bare shop in the same round."""
        return statistics.median(self._ratios(name))

    def added_ms(self, name: str) -> float:
        pairs = zip(self.seconds[name], self.seconds[BARE.name], strict=True)
        return statistics.median(one - bare for one, bare in pairs) * 1000

    def interval(self, name: str, seed: int = 1) -> tuple[float, float]:
        """Where the median ratio lies with 95 %, by resampling the rounds."""
        chance, ratios = random.Random(seed), self._ratios(name)
        medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(1000))
        return medians[25], medians[974]

    def _ratios(self, name: str) -> list[float]:
        return [one / bare for one, bare in zip(self.seconds[name], self.seconds[BARE.name], strict=True)]


def measure(stage: Stage, loads: Sequence[Load], rounds: int, seed: int, say: Callable[[str], None]) -> list[Times]:
    """Visits every page of `loads` with every contender, `rounds` times."""
    chance = random.Random(seed)
    measured = [Times(load, {one.name: [] for one in CONTENDERS}) for load in loads]
    for times in measured:
        for contender in CONTENDERS:
            # What happens once in the life of a worker is not timed.
            for _ in range(2):
                stage.running[contender.name].get(times.load.path)
    for number in range(rounds):
        for times in measured:
            for contender in chance.sample(CONTENDERS, len(CONTENDERS)):
                page = stage.running[contender.name].get(times.load.path)
                times.seconds[contender.name].append(page.seconds)
        if (number + 1) % 10 == 0:
            say(f"{number + 1} of {rounds} rounds")
    return measured
