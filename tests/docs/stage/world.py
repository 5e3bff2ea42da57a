"""What the reader of the pages has: PostgreSQL on 5432, the demo's project, names in DNS, folders below /etc."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from pages import PROJECT, Block, blocks
from plan import READY
from support import tools
from support.postgres import Postgres
from support.processes import run, scratch_folder, unprivileged_account
from support.waiting import wait_until

URL = "postgres://shop:secret@127.0.0.1:5432/shop"
THROUGH = "postgres://shop:secret@127.0.0.1:6433/shop"
# Names and addresses that pages give to machines.
NAMES = ("db", "db.internal", "replica.internal", "pgprism", "pgprism.internal")
ADDRESSES = ("10.0.0.5/32", "10.0.0.7/32")


class World:
    """Made once; what a block's commands leave behind stays in that block's folder."""

    def __enter__(self) -> World:
        self._stack = contextlib.ExitStack()
        self.folder = scratch_folder("docs")
        run(["ip", "link", "set", "lo", "up"])
        for address in ADDRESSES:
            run(["ip", "address", "add", address, "dev", "lo"])
        for covered in ("/etc", "/usr/local/bin"):
            self._cover(covered)
        with Path("/etc/hosts").open("a") as hosts:
            hosts.write("".join(f"127.0.0.1 {name}\n" for name in NAMES))
        Path("/etc/pgprism").mkdir(exist_ok=True)
        self.server = self._stack.enter_context(Postgres(18, port=5432))
        self.server.sql("CREATE ROLE shop LOGIN CREATEDB PASSWORD 'secret'")
        self.server.sql("CREATE DATABASE shop OWNER shop")
        self._programs()
        project = self.project("world")
        for arguments in (["migrate", "--verbosity", "0"], ["seed"]):
            run(
                [self.bin / "python", "manage.py", *arguments],
                env=self.environment(project),
                cwd=project / "demo",
                deadline_s=120,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _cover(self, path: str) -> None:
        """What is written below `path` from here on is seen by this machine alone."""
        upper = self.folder / path.strip("/").replace("/", "-")
        run(["mkdir", "-p", upper])
        run(["mount", "-t", "tmpfs", "tmpfs", upper])
        for part in ("changed", "work"):
            (upper / part).mkdir()
        (upper / "changed").chmod(0o755)
        options = f"lowerdir={path},upperdir={upper}/changed,workdir={upper}/work"
        run(["mount", "-t", "overlay", "overlay", "-o", options, path])

    def _programs(self) -> None:
        """The reader's PATH: pgprism, and a Python with what a Django project installs."""
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        (self.bin / "pgprism").symlink_to(tools.pgprism())
        self._program("python", 'exec "$PYTHON_OF_THE_TESTS" "$@"')
        for module in ("pytest", "gunicorn", "locust"):
            self._program(module, f'exec "$PYTHON_OF_THE_TESTS" -m {module} "$@"')

    def _program(self, name: str, script: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def project(self, name: str) -> Path:
        """A clone of the repository, as far as commands need it."""
        there = self.folder / re.sub(r"\W+", "-", name)
        for part in ("demo", "python", "config"):
            shutil.copytree(
                PROJECT / part, there / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
            )
        # The way tests of a project's own begin with the environment's python.
        manage = there / "demo" / "manage.py"
        manage.chmod(manage.stat().st_mode | stat.S_IXUSR)
        (there / "demo" / "test_pages.py").write_text(_PYTEST)
        return there

    def environment(self, project: Path) -> dict[str, str]:
        """Nothing of the tests' own environment but what a program needs."""
        return {
            "PATH": os.pathsep.join([str(self.bin), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PYTHON_OF_THE_TESTS": sys.executable,
            "PYTHONPATH": str(project / "python" / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": URL,
        }


class Scene:
    """One block of commands: a project of its own, and processes that end with it."""

    def __init__(self, world: World, block: Block | None, name: str) -> None:
        self.world = world
        self.block = block
        self.project = world.project(name)
        self.environment = world.environment(self.project)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._had: set[str] = set()

    def have(self, need: str) -> None:
        """Sees to what a step needs, once."""
        if need not in self._had:
            self._had.add(need)
            getattr(self, need)()

    def spawn(
        self,
        command: str,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        *,
        terminal: bool = False,
    ) -> subprocess.Popen[bytes]:
        """A command as a shell runs it, in a process group of its own, as a terminal gives it one."""
        shell = ["bash", "-c", command]
        if terminal:
            shell = ["script", "--quiet", "--return", "--command", f"stty cols 100 rows 40; TERM=xterm-256color {command}", "/dev/null"]
        with log.open("wb") as sink:
            process = subprocess.Popen(
                shell, cwd=cwd or self.project, env=dict(env or self.environment),
                stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            end(process, signal.SIGTERM)
        Path("/etc/pgprism/token").unlink(missing_ok=True)

    # What readers have by then.

    def serve(self, flags: str = "--upstream postgres://127.0.0.1:5432") -> None:
        """A pgprism on its default ports, unless the block has started one itself."""
        if not _answers(READY):
            log = self.project / "serve.log"
            self.spawn(f"exec pgprism serve {flags}", log)
            wait_until(lambda: _answers(READY), f"pgprism answers\n{log.read_text()}", deadline_s=20)

    def ready(self) -> None:
        wait_until(lambda: _status(READY) == 200, "the upstream is reached", deadline_s=10)

    def serve_with_token(self) -> None:
        self.serve("--upstream postgres://127.0.0.1:5432 --token-file /etc/pgprism/token")

    def serve_elsewhere(self) -> None:
        """The pgprism of another machine, which wants a token."""
        (self.project / "token").write_text("0123456789abcdef0123456789abcdef\n")
        flags = "--listen 127.0.0.1:0 --upstream postgres://127.0.0.1:5432 --admin 10.0.0.7:9433 --token-file token"
        self.spawn(f"exec pgprism serve {flags}", self.project / "elsewhere.log")
        wait_until(lambda: _answers("http://10.0.0.7:9433/healthz"), "it answers", deadline_s=20)

    def downloaded(self) -> None:
        """An archive, and the sums of a release."""
        (self.project / "pgprism.tar.gz").write_bytes(b"an archive")
        sums = run(["sha256sum", "pgprism.tar.gz"], cwd=self.project).stdout
        (self.project / "SHA256SUMS").write_text(sums + sums.replace("pgprism.tar.gz", "pgprism.whl"))

    def traffic(self) -> None:
        """Somebody opens pages of the shop, good ones and bad ones, some time ago."""
        self.visit(THROUGH)

        def judged() -> bool:
            return b'"units_open":0' in _body("http://127.0.0.1:9433/api/v1/summary").replace(b" ", b"")

        wait_until(judged, "the visits are judged", deadline_s=30)

    def visit(self, url: str) -> None:
        script = self.project / "demo" / "visit.py"
        script.write_text(_VISIT)
        run(
            [self.world.bin / "python", script],
            env=self.environment | {"DATABASE_URL": url},
            cwd=script.parent,
            deadline_s=60,
        )

    def slow_log(self) -> None:
        """A slow log with something in it."""
        self.serve("--upstream postgres://127.0.0.1:5432 --slow-log slow.log --slow-query-threshold 250ms")
        run(
            [tools.program("psql"), "-XAtqc", "SELECT pg_sleep(0.3)", THROUGH],
            env=self.environment,
        )
        log = self.project / "slow.log"
        wait_until(lambda: log.exists() and "pg_sleep" in log.read_text(), "the slow query is written", deadline_s=10)

    def muted(self) -> None:
        """The finding of docs/reading-a-finding.md is silent."""
        wait_until(
            lambda: b'"status":"muted"' in _body("http://127.0.0.1:9433/api/v1/findings/09075faf48139d53"),
            "the finding is muted",
        )

    def models(self) -> None:
        """The map of the models, where the page's own command has not written it."""
        file = self.project / "models.json"
        if not file.exists():
            done = run(
                [self.world.bin / "python", "-m", "django_pgprism", "models", "--settings", "shop.settings"],
                env=self.environment,
                cwd=self.project / "demo",
            )
            file.write_text(done.stdout)

    def etc_pgprism(self) -> None:
        """The configuration of docs/production.md and what it names."""
        folder = Path("/etc/pgprism")
        production = PROJECT / "docs" / "production.md"
        (config,) = (block.text for block in blocks(production) if block.language == "toml")
        (folder / "pgprism.toml").write_text(config)
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=db.internal", "-days", "2",
             "-keyout", folder / "root.key", "-out", folder / "root.crt"])  # fmt: skip
        (folder / "token").write_text("0123456789abcdef0123456789abcdef\n")

    def two_databases(self) -> None:
        """docs/quickstart.md's file with two listeners."""
        page = PROJECT / "docs" / "quickstart.md"
        (config,) = (block.text for block in blocks(page) if block.language == "toml")
        (self.project / "databases.toml").write_text(config)

    def mistaken_config(self) -> None:
        """The file whose message docs/configuration.md shows."""
        (self.project / "pgprism.toml").write_text('\n\n[slow_log]\nthreshold = "fast"\n')

    def scanned(self) -> None:
        """Somebody looks whether a web server is there."""
        with socket.create_connection(("127.0.0.1", 6433), timeout=5) as scanner:
            scanner.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while scanner.recv(1024):
                    pass

    def celery(self) -> None:
        script = (
            "import os, psycopg; there = psycopg.connect(os.environ['DATABASE_REPLICA_URL']); "
            "print('worker:', there.execute('SELECT 1').fetchone()[0])"
        )
        self.world._program("celery", f'exec "$PYTHON_OF_THE_TESTS" -c "{script}"')

    def pgbouncer(self, port: int = 5432) -> None:
        """Transaction pooling on PgBouncer's usual port, in front of what listens on `port`."""
        account = unprivileged_account()
        folder = scratch_folder("pgbouncer", account)
        (folder / "users.txt").write_text('"shop" "secret"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\nshop = host=127.0.0.1 port={port}\n"
            "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\n"
            f"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {folder}/users.txt\npool_mode = transaction\n"
            "ignore_startup_parameters = extra_float_digits\n"
        )
        user = f"-u {account.name}" if account else ""
        self.spawn(f"exec {tools.program('pgbouncer')} {user} {folder}/pgbouncer.ini", self.project / "pgbouncer.log")
        wait_until(lambda: _listens(6432), "PgBouncer listens", deadline_s=10)

    def installed(self) -> None:
        """A pgprism that runs from where it was installed, and the next version beside it."""
        installed = Path("/usr/local/bin/pgprism")
        installed.unlink(missing_ok=True)
        installed.symlink_to(tools.pgprism())
        (self.project / "pgprism.new").symlink_to(tools.pgprism())
        self.spawn("exec /usr/local/bin/pgprism serve --upstream postgres://127.0.0.1:5432", self.project / "serve.log")
        wait_until(lambda: _status(READY) == 200, "pgprism is ready", deadline_s=20)
        self._first = run(["pidof", "pgprism"]).stdout

    def is_replaced(self) -> None:
        """The old process has gone, another one answers at its address."""

        def changed() -> bool:
            now = run(["pidof", "pgprism"], check=False).stdout
            return bool(now.strip()) and not set(now.split()) & set(self._first.split()) and _status(READY) == 200

        wait_until(changed, "another process has taken over", deadline_s=40)
        for pid in run(["pidof", "pgprism"]).stdout.split():
            os.kill(int(pid), signal.SIGTERM)
        wait_until(lambda: not _listens(9433), "it ends", deadline_s=40)


def end(process: subprocess.Popen[bytes], how: signal.Signals, deadline_s: float = 40) -> int:
    """Ends the group as a terminal or a supervisor does; past the deadline it is killed and the caller told."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise AssertionError(f"{process.args!r} did not end within {deadline_s} s") from None


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _answers(url: str) -> bool:
    return _status(url) != 0


def _body(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


# A test of the project's own that asks the database.
_PYTEST = """\
import os

import psycopg


def test_books():
    with psycopg.connect(os.environ["DATABASE_URL"]) as shop:
        assert shop.execute("SELECT count(*) FROM shop_book").fetchone()[0] > 0
"""

_VISIT = """\
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
os.environ["ALLOWED_HOSTS"] = "testserver"
import django
django.setup()
from django.db import connection
from django.test import Client
client = Client()
for path in ("/bad/books/", "/bad/books/?page=2", "/orders/", "/books/") * 3:
    assert client.get(path).status_code == 200, path
connection.close()
"""
