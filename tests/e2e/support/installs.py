"""pgprism as people install it: a wheel, a fresh environment, and the commands that README.md tells them to type."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .processes import run, scratch_folder

README = tools.PROJECT / "README.md"


def quick_start() -> list[str]:
    """The commands of README.md's section of that name, word for word, in their order."""
    _, _, section = README.read_text().partition("\n## Quick start\n")
    section, _, _ = section.partition("\n## ")
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


def project_version() -> str:
    """The one that Cargo.toml says."""
    for line in (tools.PROJECT / "Cargo.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    raise AssertionError("Cargo.toml has no version")


@functools.cache
def make_dist() -> Path:
    """The folder of everything that `make dist` makes, made now; what cargo has built already is not built again."""
    run([tools.PROJECT / "scripts/dist"], cwd=tools.PROJECT, deadline_s=1500)
    return tools.PROJECT / "dist"


def wheels() -> Path:
    """A folder with a wheel: where the other tests have a release's program, the wheel of a release.

    Else one for this machine alone, of the program that cargo has built for the tests, so that it takes seconds.
    """
    if tools.pgprism().parent.name == "release":
        return make_dist()
    folder = scratch_folder("wheel")
    maturin = Path(sys.executable).parent / "maturin"
    run(
        [maturin, "build", "--locked", "--profile", "dev", "--strip", "false", "--compatibility", "linux",
         "--out", folder],
        cwd=tools.PROJECT, deadline_s=580,
    )
    return folder


@dataclass
class Environment:
    """A virtual environment, activated in `variables`; `pip install pgprism` there finds what is in `wheels`."""

    folder: Path
    wheels: Path

    @classmethod
    def create(cls, wheels: Path, *packages: str) -> Environment:
        """A fresh one, with those packages from the index."""
        made = cls(scratch_folder("venv") / "venv", wheels)
        run([sys.executable, "-m", "venv", made.folder])
        if packages:
            constraints = tools.PROJECT / "scripts/constraints.txt"
            pip = [made.folder / "bin/pip", "install", "--prefer-binary", "-c", constraints]
            run([*pip, *packages], env=made.online, deadline_s=300)
        return made

    @property
    def variables(self) -> dict[str, str]:
        """Of a shell in which it is activated, and nothing else of pgprism's or PostgreSQL's is set."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PG", "DATABASE", "PYTHON", "PIP", "DJANGO"))
        }
        return own | {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "HOME": str(self.folder.parent),
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            # Before a release no index has it: the wheel that was just built stands for it.
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
        }

    @property
    def online(self) -> dict[str, str]:
        """The same, but pip asks the index, and it alone."""
        return {name: value for name, value in self.variables.items() if name not in {"PIP_NO_INDEX", "PIP_FIND_LINKS"}}

    def python(self, *arguments: str, check: bool = True) -> str:
        """What its interpreter prints; with `check=False`, on stderr too."""
        done = run([self.folder / "bin/python", *arguments], env=self.variables, cwd=self.folder.parent, check=check)
        return done.stdout if check else done.stdout + done.stderr

    def files(self) -> set[str]:
        """Everything in it."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}
