"""The whole picture on one machine, for a minute: the shop, PostgreSQL, pgprism between them, Prometheus beside it.

`make demo` runs this. It ends with 0 only when everything that is shown was also true: see `checks.py`.
On a terminal everything stays up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
# Servers, children and scrapes are handled as the end-to-end tests handle them.
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from checks import Failed, check_everything  # noqa: E402
from prometheus import Prometheus  # noqa: E402
from support import tools  # noqa: E402
from support.exposition import Scrape  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.processes import Child, free_port  # noqa: E402
from support.waiting import wait_until  # noqa: E402
from web import fetch, status_of  # noqa: E402

VISITORS = 8
MARK = "made-by-the-demo"


def say(text: str = "") -> None:
    print(text, flush=True)


def heading(text: str) -> None:
    say(f"\n== {text} " + "=" * max(3, 96 - len(text)))


class Demo:
    """The parts, each owned by pid and ended in the opposite order."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.slow_log = folder / "slow.log"

    def start(self, name: str, argv: list[str | Path], **options: object) -> Child:
        child = Child(argv, self.folder / f"{name}.log", **options)  # type: ignore[arg-type]
        self.stack.callback(child.stop)
        return child

    def start_postgres(self) -> None:
        self.postgres = self.stack.enter_context(Postgres(18))
        self.database = self.postgres.create_database("shop")
        say(f"PostgreSQL 18    127.0.0.1:{self.postgres.port}")

    def start_pgprism(self) -> None:
        ports = self.folder / "ports"
        (host, port) = self.database.endpoint
        arguments = [
            *("serve", "--listen", "127.0.0.1:0", "--upstream", f"postgres://{host}:{port}"),
            *("--admin", "127.0.0.1:0", "--ports-file", ports),
            *("--slow-log", self.slow_log, "--slow-query-threshold", "100ms"),
        ]
        self.pgprism = self.start("pgprism", [tools.pgprism(), *arguments], env=os.environ | {"NO_COLOR": "1"})

        def bound() -> dict[str, str] | None:
            if self.pgprism.exit_status is not None:
                raise Failed(f"pgprism ended with {self.pgprism.exit_status}\n{self.pgprism.tail()}")
            lines = ports.read_text().splitlines() if ports.exists() else []
            found = dict(line.split("=", 1) for line in lines if "=" in line)
            return found if {"listener.default", "admin"} <= found.keys() else None

        found = wait_until(bound, "pgprism listens", deadline_s=15)
        self.proxy = found["listener.default"]
        self.admin = f"http://{found['admin']}"
        wait_until(lambda: status_of(f"{self.admin}/readyz") == 200, "pgprism is ready", refused=(OSError,))
        say(f"pgprism          {self.proxy}, admin {self.admin}")

    def manage(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, str(HERE / "manage.py"), *arguments],
            cwd=HERE, env=self.django_environment("manage"), capture_output=True, text=True, timeout=120, check=False,
        )
        if done.returncode != 0:
            raise Failed(f"manage.py {' '.join(arguments)} ended with {done.returncode}\n{done.stderr[-4000:]}")
        if done.stdout.strip():
            say(f"                 {done.stdout.strip().splitlines()[-1]}")

    def django_environment(self, application: str) -> dict[str, str]:
        """What a team changes to profile: DATABASE_URL leads to pgprism instead of PostgreSQL."""
        login = f"{self.database.user}:{quote(self.database.password)}"
        url = f"postgres://{login}@{self.proxy}/{self.database.database}"
        return os.environ | {"DATABASE_URL": url, "APPLICATION_NAME": application}

    def start_shop(self) -> None:
        say("manage.py        migrate and seed, through pgprism")
        self.manage("migrate", "--verbosity", "0")
        self.manage("seed")
        port = free_port()
        self.shop = f"http://127.0.0.1:{port}"
        arguments = ["shop.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--log-level", "warning"]
        server = self.start(
            "gunicorn", [sys.executable, "-m", "gunicorn", *arguments],
            cwd=HERE, env=self.django_environment("shop"),
        )

        def answers() -> bool:
            if server.exit_status is not None:
                raise Failed(f"gunicorn ended with {server.exit_status}\n{server.tail()}")
            return status_of(f"{self.shop}/") == 200

        wait_until(answers, "the shop answers", deadline_s=20, refused=(OSError,))
        say(f"Shop             {self.shop}")

    def start_prometheus(self) -> None:
        self.prometheus = Prometheus(self.folder, {"pgprism": self.admin.removeprefix("http://")}, self.start)
        say(f"Prometheus       {self.prometheus.url}")

    def drive(self, seconds: int) -> None:
        heading(f"{VISITORS} visitors for {seconds} s")
        log = self.folder / "locust.log"
        with log.open("w") as sink:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "locust", "-f", HERE / "locustfile.py", "--headless", "--host", self.shop),
                    *("--users", str(VISITORS), "--spawn-rate", str(VISITORS), "--run-time", f"{seconds}s"),
                    *("--stop-timeout", "10", "--only-summary", "--csv", self.folder / "locust"),
                ],
                stdout=sink, stderr=subprocess.STDOUT, timeout=seconds + 60, check=False,
            )
        if done.returncode != 0:
            raise Failed(f"locust ended with {done.returncode}\n{log.read_text()[-4000:]}")
        with (self.folder / "locust_stats.csv").open() as file:
            rows = list(csv.DictReader(file))
        say(f"{'page':40} {'requests':>8} {'median':>9} {'p95':>9}")
        for row in sorted(rows, key=lambda row: (not row["Type"], -float(row["Median Response Time"]))):
            page = f"{row['Type']:4} {row['Name']}" if row["Type"] else "all"
            median, p95 = float(row["Median Response Time"]), float(row["95%"])
            say(f"{page:40} {row['Request Count']:>8} {median:6.0f} ms {p95:6.0f} ms")

    def settle(self) -> Scrape:
        """The metrics once everything was counted and Prometheus has seen it too."""

        def seen() -> Scrape | None:
            scrape = Scrape(fetch(f"{self.admin}/metrics"))
            counted = scrape.total("pgprism_queries_total")
            known = self.prometheus.value("sum(pgprism_queries_total)")
            return scrape if counted > 0 and known == counted else None

        scrape = wait_until(seen, "Prometheus knows every query", deadline_s=20, every_s=0.2)
        (self.folder / "metrics.txt").write_text(scrape.text)
        return scrape

    def show_report(self) -> None:
        heading(f"pgprism report --admin {self.admin}")
        done = subprocess.run(
            [tools.pgprism(), "report", "--admin", self.admin],
            capture_output=True, text=True, timeout=20, check=False,
        )
        if done.returncode != 0:
            raise Failed(f"pgprism report ended with {done.returncode}\n{done.stderr}")
        (self.folder / "report.txt").write_text(done.stdout)
        say(done.stdout.rstrip())

    def show_slow_log(self) -> None:
        heading("slow queries, as PostgreSQL writes them")
        if not self.slow_log.exists():
            raise Failed("no query was slow enough for the slow-query log")
        lines = [line for line in self.slow_log.read_text().splitlines() if not line.startswith("\t")]
        for line in lines[-6:]:
            say(line if len(line) <= 200 else f"{line[:199]}…")

    def show_metrics(self, scrape: Scrape) -> None:
        heading("GET /metrics (a few of its lines)")
        wanted = ("pgprism_queries_total", "pgprism_query_errors_total", "pgprism_transactions_total")
        for name in wanted:
            for sample in sorted(scrape.series(name), key=lambda sample: -sample.value)[:3]:
                labels = ",".join(f'{key}="{value}"' for key, value in sample.labels)
                say(f"{name}{{{labels}}} {sample.value:.0f}")
        heading("p95 of each shape, by Prometheus")
        say(f"{'p95':>9}  {'calls/s':>7}  fingerprint       summary")
        for row in self.prometheus.slowest_shapes():
            say(f"{row.p95_s * 1000:6.1f} ms  {row.rate:7.1f}  {row.fingerprint}  {row.summary}")

    def show_places(self, kept: bool) -> None:
        heading("where to look" if kept else "what is left of it")
        relative = os.path.relpath(self.folder)
        if kept:
            say(f"shop             {self.shop}/bad/books/   (compare {self.shop}/books/)")
            say(f"metrics          {self.admin}/metrics")
            say(f"API              {self.admin}/api/v1/queries   {self.admin}/api/v1/summary")
            say(f"Prometheus       {self.prometheus.url}/graph")
            say(f"report           {os.path.relpath(tools.pgprism())} report --admin {self.admin}")
        else:
            say(f"It ran at        {self.admin}/metrics, {self.admin}/api/v1/queries, {self.prometheus.url}")
        say(f"slow-query log   {relative}/slow.log")
        say(f"everything else  {relative}/: report.txt metrics.txt pgprism.log gunicorn.log prometheus.log locust.log")

    def end_pgprism(self) -> None:
        """Its clients first, as in a deployment; then it has to end by itself, with 0."""
        self.pgprism.send(signal.SIGTERM)
        status = self.pgprism.wait(30)
        if status != 0:
            raise Failed(f"pgprism ended with {status}\n{self.pgprism.tail()}")


def stay() -> None:
    say("\nEverything stays up until Ctrl-C.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()


def empty(folder: Path) -> None:
    """Removes what an earlier demo left there, and nothing that is not a demo's."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise Failed(f"{folder} holds something else")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def play(seconds: int, stays: bool, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock, contextlib.ExitStack() as stack:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another demo runs in {folder}") from None
        empty(folder)
        began = time.monotonic()
        heading("one machine, everything real")
        demo = Demo(stack, folder)
        demo.start_postgres()
        demo.start_pgprism()
        demo.start_prometheus()
        demo.start_shop()
        demo.drive(seconds)
        scrape = demo.settle()
        demo.show_report()
        demo.show_slow_log()
        demo.show_metrics(scrape)
        heading("checked")
        for line in check_everything(demo.admin, scrape, demo.slow_log, demo.prometheus):
            say(f"ok  {line}")
        say(f"ok  all of it in {time.monotonic() - began:.0f} s")
        demo.show_places(stays)
        if stays:
            stay()
        demo.end_pgprism()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="how long visitors come (default 20)")
    parser.add_argument(
        "--stay", action=argparse.BooleanOptionalAction, default=sys.stdout.isatty(),
        help="keep everything running at the end (default: on a terminal)",
    )
    parser.add_argument(
        "--folder", type=Path, default=PROJECT / "target" / "demo", help="where logs and results go (default target/demo)"
    )
    arguments = parser.parse_args()
    # Ended from outside, it still ends what it started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        play(arguments.seconds, arguments.stay, arguments.folder.resolve())
    except (Failed, AssertionError, RuntimeError) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
