"""What is said of the labelled pages: problems that are told, and pages without one that are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shop_site.labels import PAIRS

from .contenders import Contender
from .hearing import hear
from .stage import Stage

# Loops over the rows of a result, which is what N+1 means; the other pairs are repetitions of other kinds.
RELATIONS = ("forward", "reverse", "many to many", "count", "exists", "deferred", "nested")
# Pages without a mistake that repeat themselves, rightly; `tests/e2e/shop_site/traffic.py` says of each what it is.
LOOK_ALIKES = (
    "list/1", "book/7", "status/3", "export", "by-key", "by-offset", "queue", "in-batches", "tables", "cascade", "retried",
)  # fmt: skip


@dataclass
class Verdict:
    """One contender's; the names are those of pairs and of look-alikes."""

    told: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)

    def missed(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that were not told."""
        return [name for name in names if name not in self.told]


OTHERS = tuple(pair.name for pair in PAIRS if pair.name not in RELATIONS)
WITHOUT_MISTAKE = len(PAIRS) + len(LOOK_ALIKES)


def judge(stage: Stage, contender: Contender) -> Verdict:
    """Visits each problem page, its fixed twin and the look-alikes once."""
    problems = {f"/pairs/{number}/problem/": pair.name for number, pair in enumerate(PAIRS)}
    others = {f"/pairs/{number}/fixed/": f"{pair.name} without" for number, pair in enumerate(PAIRS)}
    others |= {f"/quiet/{page}/": page for page in LOOK_ALIKES}
    said = hear(stage, contender, [*problems, *others])
    return Verdict(
        [name for path, name in problems.items() if said[path].alarm],
        [name for path, name in others.items() if said[path].alarm],
    )
