"""The process that plays scenarios in a configuration, and the databases it plays them on."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from support.postgres import Address, Postgres
from support.processes import become, run, scratch_folder

from .configurations import Configuration, Driver, python
from .projects import SHOP, Project

HERE = Path(__file__).resolve().parents[1]


class Failed(RuntimeError):
    """A scenario could not be played, or the process that plays them ended."""


class Databases:
    """Both databases of a run, copied from a pair that is made once for each Django."""

    def __init__(self, postgres: Postgres, project: Project) -> None:
        self._postgres = postgres
        self._project = project
        self._made: set[str] = set()
        self._copies = 0

    def copy(self, django: str) -> tuple[str, str]:
        """Names of a fresh pair."""
        source = f"eval_{self._project.name}_{django}".replace(".", "_")
        if source not in self._made:
            for name in (source, f"{source}_archive"):
                self._postgres.create_database(name)
            address = self._postgres.address
            done = subprocess.run(
                [python(django), "prepare.py"],
                cwd=HERE,
                env=environment(address, address.port, (source, f"{source}_archive"), {}, self._project),
                capture_output=True,
                text=True,
            )
            if done.returncode != 0:
                raise Failed(f"the tables for Django {django} could not be made\n{done.stdout}{done.stderr}")
            self._made.add(source)
        self._copies += 1
        names = (f"{source}_{self._copies}", f"{source}_{self._copies}_archive")
        for name, template in zip(names, (source, f"{source}_archive"), strict=True):
            self._postgres.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return names


def environment(
    through: Address, direct_port: int, names: tuple[str, str], mode: dict[str, Any], project: Project = SHOP
) -> dict[str, str]:
    connect = {
        "host": through.host,
        "port": through.port,
        "direct_port": direct_port,
        "user": through.user,
        "password": through.password,
        "database": names[0],
        "archive": names[1],
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "DJANGO", "PYTHON"))}
    return kept | {
        "DJANGO_SETTINGS_MODULE": project.settings,
        "EVAL_CONNECT": json.dumps(connect),
        "EVAL_MODE": json.dumps(mode),
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class Player:
    """Plays one scenario at a time; nothing it sends to the database says which."""

    def __init__(self, configuration: Configuration, env: dict[str, str], seed: int) -> None:
        folder = scratch_folder("player")
        path = [str(HERE)]
        if configuration.driver is Driver.PSYCOPG2:
            # Django takes psycopg 3 where both are installed: this makes it look absent.
            (folder / "psycopg.py").write_text("raise ImportError('hidden, so that Django takes psycopg2')\n")
            path.insert(0, str(folder))
        self.log = folder / "player.log"
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                [python(configuration.django), "-m", "driving"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                bufsize=1,
                cwd=HERE,
                env=env | {"EVAL_SEED": str(seed), "PYTHONPATH": os.pathsep.join(path)},
                preexec_fn=lambda: become(None),  # noqa: PLW1509 - forked before threads matter
            )
        atexit.register(self._process.kill)

    def scenarios(self) -> list[dict[str, Any]]:
        return self._ask({"list": True})

    def play(self, name: str, variant: str) -> dict[str, Any]:
        played: dict[str, Any] = self._ask({"run": name, "variant": variant})
        if played["error"]:
            raise Failed(f"{name} ({variant}):\n{played['error']}")
        return played

    def mix(self, threads: int, seconds: float, labels: list[str]) -> dict[str, Any]:
        """Scenarios of those labels on many threads at once, for so long."""
        mixed: dict[str, Any] = self._ask({"mix": threads, "seconds": seconds, "labels": labels})
        if mixed["error"]:
            raise Failed(f"mixed traffic: {mixed['error']}")
        return mixed

    def let_go(self) -> None:
        """Closes all its connections."""
        self._ask({"let_go": True})

    def end(self) -> None:
        self._ask({"end": True})
        self._process.wait(20)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _ask(self, question: dict[str, Any], deadline_s: float = 120.0) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        alarm = threading.Timer(deadline_s, self._process.kill)
        alarm.start()
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        if not line:
            raise Failed(f"no answer to {question}\n{self.log.read_text(errors='replace')[-4000:]}")
        return json.loads(line)


def model_map(django: str, names: tuple[str, str], address: Address, project: Project = SHOP) -> Path:
    """What `python -m django_pgprism models` says of the project."""
    package = HERE.parents[1] / "python" / "src"
    env = environment(address, address.port, names, {}, project)
    env["PYTHONPATH"] = os.pathsep.join([str(HERE), str(package)])
    done = run([python(django), "-m", "django_pgprism", "models"], env=env, cwd=HERE)
    path = scratch_folder("models") / "models.json"
    path.write_text(done.stdout)
    return path
