"""Plays the same pages with each tool installed and prints what each costs and what each says.

scripts/compare [--rounds N] [--seed N] [--write]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from support import tools
from support.processes import run

from . import figures, page
from .contenders import BARE, CONTENDERS, PGPRISM, SILK, TAGGED
from .hearing import Said, hear
from .stage import Stage
from .verdicts import RELATIONS, Verdict, judge

LOADS = (
    figures.Load("a list as it should be", "/quiet/list/1/"),
    figures.Load("an N+1", "/pairs/0/problem/"),
    figures.Load("a nested N+1", "/pairs/6/problem/"),
    figures.Load("no loop", "/many/"),
)
EXAMPLE = "/pairs/0/problem/"


def say(text: str = "") -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", type=Path, required=True, help="the interpreter that has the tools (scripts/compare)"
    )
    parser.add_argument("--rounds", type=int, default=40, help="visits of each timed page with each tool (default 40)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of visits (default 1)")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/comparison.md")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, given.python)
        say("timing")
        measured = figures.measure(stage, LOADS, given.rounds, given.seed, say)
        memory_mb = _memory(stage)
        counted = hear(stage, SILK, [load.path for load in LOADS])
        verdicts: dict[str, Verdict] = {}
        words: dict[str, Said] = {}
        for contender in CONTENDERS:
            if contender.has_verdict:
                say(f"listening to {contender.name}")
                verdicts[contender.name] = judge(stage, contender)
            if contender.tool not in ("bare", "debug") or contender.through_proxy or contender.counted_by_server:
                words[contender.name] = hear(stage, contender, [EXAMPLE])[EXAMPLE]
    text = page.render(measured, counted, verdicts, words, memory_mb, _versions(given.python), given.rounds)
    say(text)
    if given.write:
        page.write(text)
    sys.exit(_broken_promises(verdicts))


def _memory(stage: Stage) -> dict[str, str]:
    """What the worker has more than the bare one; for pgprism its own process too."""
    bare = stage.running[BARE.name].worker_bytes()
    found = {BARE.name: f"{bare / 1e6:.0f}"}
    for contender in CONTENDERS[1:]:
        more = (stage.running[contender.name].worker_bytes() - bare) / 1e6
        proxy = stage.proxies.get(contender.name)
        found[contender.name] = f"{round(more):+d}" + (
            f", and {proxy.process.rss_bytes() / 1e6:.0f} of its own" if proxy else ""
        )
    return found


def _versions(python: Path) -> dict[str, str]:
    ask = "import importlib.metadata as m, sys; print(*[m.version(name) for name in sys.argv[1:]])"
    packages = ["django", "psycopg", "gunicorn", *(one.package for one in CONTENDERS if one.package)]
    answers = run([python, "-c", ask, *packages]).stdout.split()
    return {
        "pgprism": run([tools.pgprism(), "--version"]).stdout.split()[1],
        "PostgreSQL": run([tools.postgres(18) / "postgres", "--version"]).stdout.split()[2],
        **dict(zip(packages, answers, strict=True)),
    }


def _broken_promises(verdicts: dict[str, Verdict]) -> str | int:
    """What this page says of pgprism must be so: the figures of others are theirs."""
    for name in (PGPRISM.name, TAGGED.name):
        verdict = verdicts[name]
        if verdict.missed(RELATIONS) or verdict.false:
            return f"{name}: told {verdict.told}, false {verdict.false}"
    return 0


if __name__ == "__main__":
    main()
