"""What is done with each command of the documentation: it is run word for word, or it is said why not.

A command that is new in a page is new here, too: `test_blocks.py` asks for it, `stage/` plays it. The commands of one
block follow each other as they do for a reader: what one starts runs until the block's end, what one exports counts for
the next.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import yaml

from pages import PROJECT, blocks
from support import tools

WEB = "http://127.0.0.1:8000/bad/books/"
READY = "http://127.0.0.1:9433/readyz"


@dataclass(frozen=True)
class Run:
    """To its end, with that exit status; what it says on stdout and stderr together must match."""

    says: str = ""
    needs: tuple[str, ...] = ()
    """What the reader has by then: `stage/world.py` has a method of that name for each."""
    cwd: str = "."
    status: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    leaves: str | None = None
    """A file that must be there afterwards, and not be empty."""
    shown: bool = False
    """The block shows all that it says."""
    afterwards: tuple[str, ...] = ()
    """What must come of it: methods like those of `needs`."""


@dataclass(frozen=True)
class Start:
    """Runs until the block ends, from when `url` answers or, without one, its output matches `until`."""

    url: str | None = READY
    until: str = ""
    needs: tuple[str, ...] = ()
    cwd: str = "."
    ended_by: signal.Signals = signal.SIGTERM
    statuses: tuple[int, ...] = (0,)
    says: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    afterwards: tuple[str, ...] = ()
    """What happens before it ends."""
    terminal: bool = False
    """It draws on one."""
    alone: bool = False
    """It ends before the block's next command, which is another example and not the next step."""


@dataclass(frozen=True)
class Explained:
    """Cannot be run here, for this reason; `check` looks at as much of it as can be looked at."""

    reason: str
    check: Callable[[str], None]


Step = Run | Start | Explained


def _is_target(command: str) -> None:
    """make knows the target and its variables; nothing is made."""
    subprocess.run(
        [*("make", "--dry-run", "--no-print-directory"), *command.split()[1:2]],
        cwd=PROJECT, check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    makefile = (PROJECT / "Makefile").read_text()
    for variable in re.findall(r"([A-Z_]+)=", command):
        assert (
            variable in makefile
            or variable in (PROJECT / "scripts/eval").read_text()
            or (variable in (PROJECT / "tests/django/evaluation/__main__.py").read_text())
        ), f"{variable} means nothing"


def _is_of(package: str, folder: str) -> Callable[[str], None]:
    """The program takes the flags, by its own help."""

    def check(command: str) -> None:
        places = ":".join(str(PROJECT / part) for part in ("tools", "tests/django", "tests/e2e", folder))
        done = subprocess.run(
            [sys.executable, "-m", package, "--help"], cwd=PROJECT / folder, env={"PYTHONPATH": places},
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        for flag in re.findall(r" (--[a-z-]+)", command):
            assert flag in done.stdout, f"{package} has no {flag}"

    return check


def _compose_is_whole(_command: str) -> None:
    """The settings that the compose file gives pgprism are accepted; `tests/e2e/test_deployment.py` reads the demo's."""
    page = PROJECT / "docs" / "quickstart.md"
    (compose,) = (yaml.safe_load(block.text) for block in blocks(page) if block.language == "yaml")
    environment = dict(compose["services"]["pgprism"]["environment"])
    (secret,) = compose["services"]["pgprism"]["secrets"]
    assert environment.pop("PGPRISM_TOKEN_FILE") == f"/run/secrets/{secret}" and secret in compose["secrets"]
    dockerfile = (PROJECT / "Dockerfile").read_text()
    environment |= dict(re.findall(r"^ENV (\w+)=(\S+)", dockerfile, re.MULTILINE))
    done = subprocess.run(
        [tools.pgprism(), "check-config"], env=environment | {"PGPRISM_TOKEN": "x" * 64},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "@pgprism:6433/" in compose["services"]["web"]["environment"]["DATABASE_URL"]


def _package_is_there(_command: str) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert project["project"]["name"] == "pgprism" and project["build-system"]["build-backend"] == "maturin"


def _image_takes_the_settings(command: str) -> None:
    """The variables that a container is given make a valid configuration, and its ports are the image's."""
    dockerfile = (PROJECT / "Dockerfile").read_text()
    given = dict(re.findall(r"-e (PGPRISM_\w+)=(\"[^\"]*\"|\S+)", command))
    given = {name: "x" * 64 if value.startswith('"$(openssl') else value for name, value in given.items()}
    environment = dict(re.findall(r"^ENV (\w+)=(\S+)", dockerfile, re.MULTILINE)) | given
    done = subprocess.run(
        [tools.pgprism(), "check-config"], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert not given or done.returncode == 0, done.stderr
    for port in re.findall(r"-p 127\.0\.0\.1:\d+:(\d+)", command):
        assert port in dockerfile or f":{port}" in " ".join(given.values()), f"nothing in the image listens on {port}"


def _binary_can_be_built(_command: str) -> None:
    subprocess.run(
        ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"],
        cwd=PROJECT, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


_EVALUATION = "takes minutes; `make acceptance` runs the evaluation"
_INSTALLS = "is on no index before its release; tests/e2e/test_install.py runs it with a wheel that it has built"
_NO_DOCKER = "there is no Docker daemon in the tests' machine"

_RUNSERVER = Start(WEB, cwd="demo", ended_by=signal.SIGINT, says=r"requests?, [\d,]+ queries", alone=True)
_ON_THE_PORT = Start(
    WEB, cwd="demo", ended_by=signal.SIGINT, says=r"requests?, [\d,]+ queries",
    env={"DATABASE_URL": "postgres://shop:secret@127.0.0.1:6433/shop"},
)  # fmt: skip
_TERMINAL = {"alone": True, "terminal": True, "statuses": (0, 143, -signal.SIGTERM)}
_CONFIG = Run(says=r"is valid:", needs=("etc_pgprism",))

PLAN: dict[str, Step] = {
    # One command.
    "pgprism run -- python manage.py runserver": _RUNSERVER,
    "pgprism run --report report.html -- pytest": Run(r"1 passed(.|\n)*exit 0", cwd="demo", leaves="report.html"),
    "pgprism run --open -- gunicorn shop.wsgi": Start(
        WEB, cwd="demo", env={"BROWSER": "true"}, says=r"requests?, [\d,]+ queries", alone=True
    ),
    "pgprism run --add-latency 2ms -- ./manage.py test": Run(r"\nOK\n(.|\n)*2 ms", cwd="demo"),
    "pgprism run --env DATABASE_REPLICA_URL -- celery -A shop worker": Run(
        # Celery is no part of these tests: a program of that name asks the database, as a worker would.
        r"DATABASE_REPLICA_URL: 127\.0\.0\.1:5432 -> (.|\n)*worker: 1(.|\n)*[1-9] quer",
        cwd="demo",
        needs=("celery",),
        env={"DATABASE_REPLICA_URL": "postgres://shop:secret@127.0.0.1:5432/shop"},
    ),
    "pgprism run --env DATABASE_REPLICA_URL -- ./manage.py check --database default": Run(
        r"DATABASE_REPLICA_URL: 127\.0\.0\.1:5432 -> ", cwd="demo"
    ),
    "pgprism run --listen 127.0.0.1:6433 --upstream postgres://127.0.0.1:5432 -- python manage.py runserver": (
        _ON_THE_PORT
    ),
    # In CI.
    "pgprism check --update -- pytest": Run(cwd="demo", leaves="pgprism-baseline.json"),
    "pgprism check -- pytest": Run(r"1 passed(.|\n)*against pgprism-baseline\.json", cwd="demo"),
    "pgprism check --max-queries 50 -- pytest -n 4": Run(r"1 passed", cwd="demo"),
    # The baseline of the block knows what pytest brought; manage.py's tests have loops that are new to it.
    "pgprism check --junit pgprism.xml --markdown pgprism.md -- python manage.py test": Run(
        r"\nOK\n(.|\n)*NEW FINDING(.|\n)*FAILED: ", cwd="demo", status=1, leaves="pgprism.xml"
    ),
    "pgprism run -- pytest": Run(r"1 passed(.|\n)*exit 0", cwd="demo"),
    # In a terminal.
    "pgprism top": Start(None, until="indings", needs=("serve", "traffic"), **_TERMINAL),
    "pgprism top --view shapes --interval 5s": Start(None, until="SELECT shop", needs=("serve", "traffic"), **_TERMINAL),
    "pgprism top --admin http://10.0.0.7:9433 --token-file token": Start(
        None, until="10.0.0.7:9433", needs=("serve_elsewhere",), **_TERMINAL
    ),
    "pgprism top --once --view units": Run("orders/", needs=("serve", "traffic")),
    # Beside an application.
    "pgprism serve --upstream postgres://127.0.0.1:5432": Start(),
    "pgprism serve --upstream postgres://127.0.0.1:5432 --log-level debug": Start(
        afterwards=("scanned",), says="DEBUG.*no session"
    ),
    "pgprism serve --upstream postgres://127.0.0.1:5432 --slow-log slow.log --slow-query-threshold 250ms": Start(
        afterwards=("slow_log",)
    ),
    "pgprism serve --upstream postgres://127.0.0.1:6432": Start(needs=("pgbouncer",)),
    "pgprism serve --config databases.toml": Start(needs=("two_databases",)),
    "pgprism serve --models models.json": Start(needs=("models",)),
    "pgprism check-config databases.toml": Run("is valid:", needs=("two_databases",)),
    "pgprism check-config pgprism.toml": Run("is not a duration", needs=("mistaken_config",), status=64, shown=True),
    "pgprism check-config /etc/pgprism/pgprism.toml": _CONFIG,
    "pgprism report": Run(r"WHERE THE TIME WENT(.|\n)*select_related", needs=("serve", "traffic")),
    "pgprism report --output report.html": Run(needs=("serve", "traffic"), leaves="report.html"),
    "python manage.py runserver": Start(WEB, cwd="demo", ended_by=signal.SIGINT),
    "python manage.py check --database default": Run("no issues", cwd="demo", needs=("serve",)),
    "curl -s 127.0.0.1:9433/readyz": Run("", needs=("serve", "ready")),
    "export DATABASE_URL=postgres://shop:secret@127.0.0.1:6433/shop": Run(),
    "export DATABASE_REPLICA_URL=postgres://shop:secret@127.0.0.1:5432/shop": Run(),
    # The API.
    "curl -s '127.0.0.1:9433/api/v1/queries?limit=3&sort=p95_ms'": Run('"p95_ms":', needs=("serve", "traffic")),
    "curl -s '127.0.0.1:9433/api/v1/findings?status=open&confidence=proved'": Run(
        '"confidence":"proved"', needs=("serve", "traffic")
    ),
    "curl -s '127.0.0.1:9433/api/v1/units?route=orders/&sort=database_time'": Run(
        '"route":"orders/"', needs=("serve", "traffic")
    ),
    "curl -sN '127.0.0.1:9433/api/v1/stream?events=query'": Start(
        None, until="event: ?query", needs=("serve", "traffic"), statuses=(-signal.SIGTERM,)
    ),
    "curl -s -X POST -H 'X-Pgprism: 1' 127.0.0.1:9433/api/v1/reset": Run(needs=("serve",)),
    "curl -s 127.0.0.1:9433/api/v1/summary": Run(r'"degraded":\[\]', needs=("serve", "traffic")),
    "curl -s 127.0.0.1:9433/api/v1/findings/09075faf48139d53": Run(
        r'"shop_publisher"(.|\n)*select_related', needs=("serve", "traffic")
    ),
    "curl -s -X POST -H 'X-Pgprism: 1' 127.0.0.1:9433/api/v1/findings/09075faf48139d53/mute": Run(
        needs=("serve", "traffic"), afterwards=("muted",)
    ),
    # In production.
    "openssl rand -hex 32 > /etc/pgprism/token": Run(needs=("etc_pgprism",), leaves="/etc/pgprism/token"),
    "chmod 600 /etc/pgprism/token": Run(),
    'curl -s -H "Authorization: Bearer $(cat /etc/pgprism/token)" 127.0.0.1:9433/readyz': Run(
        needs=("serve_with_token", "ready")
    ),
    "openssl rand -hex 32 > pgprism-token": Run(leaves="pgprism-token"),
    "docker compose up --build": Explained(_NO_DOCKER, _compose_is_whole),
    "mv pgprism.new /usr/local/bin/pgprism": Run(needs=("installed",)),
    "kill -USR2 $(pidof pgprism)": Run(afterwards=("is_replaced",)),
    "docker build -t pgprism .": Explained(_NO_DOCKER, _image_takes_the_settings),
    "docker run --rm -p 127.0.0.1:6433:6433 -e PGPRISM_UPSTREAM=postgres://db.example.com:5432 pgprism": Explained(
        _NO_DOCKER, _image_takes_the_settings
    ),
    "docker run --rm -p 127.0.0.1:6433:6433 -p 127.0.0.1:9433:9433 -e PGPRISM_UPSTREAM=postgres://db.example.com:5432"
    " -e PGPRISM_ADMIN=0.0.0.0:9433 -e PGPRISM_ADMIN_HOSTS=127.0.0.1:9433"
    ' -e PGPRISM_TOKEN="$(openssl rand -hex 32)" pgprism': Explained(_NO_DOCKER, _image_takes_the_settings),
    # Once it is installed.
    "mkdir -p ~/.local/share/bash-completion/completions ~/.zfunc ~/.config/fish/completions": Run(),
    "pgprism completions bash > ~/.local/share/bash-completion/completions/pgprism": Run(),
    "pgprism completions zsh > ~/.zfunc/_pgprism": Run(),
    "pgprism completions fish > ~/.config/fish/completions/pgprism.fish": Run(),
    "sha256sum --check --ignore-missing SHA256SUMS": Run(r"OK", needs=("downloaded",)),
    "pgprism --version": Run(r"pgprism \d"),
    # The slow-query log.
    "pgbadger -f stderr --prefix '%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ' slow.log": Run(
        needs=("slow_log",), leaves="out.html"
    ),
    # The Django package.
    "pip install pgprism": Explained(_INSTALLS, _package_is_there),
    "cd demo && pip install -r requirements.txt pgprism": Explained(_INSTALLS, _package_is_there),
    "uv tool install pgprism": Explained(_INSTALLS, _package_is_there),
    "pipx install pgprism": Explained(_INSTALLS, _package_is_there),
    "python -m django_pgprism models --settings shop.settings > models.json": Run(cwd="demo", leaves="models.json"),
    "DJANGO_SETTINGS_MODULE=shop.settings python -m django_pgprism models > models.json": Run(
        cwd="demo", leaves="models.json"
    ),
    # The demo by hand.
    "export DATABASE_URL=postgres://shop@127.0.0.1:6433/shop": Run(env={"PGPASSWORD": "secret"}),
    "./manage.py migrate && ./manage.py seed && gunicorn shop.wsgi --threads 4": Start(
        WEB, cwd="demo", statuses=(0, -signal.SIGTERM)
    ),
    "locust -f locustfile.py --headless --users 8 --run-time 20s --host http://127.0.0.1:8000": Run(
        "Aggregated", cwd="demo"
    ),
    # What takes long.
    "cargo install --path . --locked": Explained("builds a release, which takes minutes", _binary_can_be_built),
    "make compare": Explained("takes minutes; `make acceptance` runs it with fewer rounds", _is_target),
    "scripts/compare --rounds 10": Explained(
        "takes minutes; `make acceptance` runs it with fewer rounds", _is_of("compare", "tools")
    ),
    "make eval": Explained(_EVALUATION, _is_target),
    'make eval EVAL_CONFIGS="5.2-psycopg-stay 4.2"': Explained(_EVALUATION, _is_target),
    'make eval EVAL_ARGS="--seed 7 --markdown eval.md"': Explained(_EVALUATION, _is_target),
    "scripts/eval --smoke": Explained(_EVALUATION, _is_of("evaluation", "tests/django")),
    "scripts/eval --project campus 5.2-psycopg-close": Explained(_EVALUATION, _is_of("evaluation", "tests/django")),
    "scripts/eval --no-peers --only list_then_details --raw target/raw 5.2-psycopg-stay": Explained(
        _EVALUATION, _is_of("evaluation", "tests/django")
    ),
}
