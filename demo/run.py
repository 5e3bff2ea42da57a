"""The whole picture on one machine, for a minute: the shop, PostgreSQL, pgprism between them, Prometheus beside it.

`make demo` runs this. It ends with 0 only when everything that is shown was also true: see `checks.py`.
On a terminal everything stays up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fcntl
import itertools
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
PACKAGE = PROJECT / "python" / "src"
# Servers, children and scrapes are handled as the end-to-end tests handle them.
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from checks import Failed, check_everything, check_fixed, check_found  # noqa: E402
from findings import Finding, all_findings, in_words, still_open, wait_found  # noqa: E402
from prometheus import Prometheus  # noqa: E402
from support import tools  # noqa: E402
from support.exposition import Scrape  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.processes import Child, free_port  # noqa: E402
from support.waiting import wait_until  # noqa: E402
from web import fetch, post, status_of  # noqa: E402

VISITORS = 8
FIXED_WITHIN_S = 120.0
TOUR_EVERY_S = 5.0
# One visit of each page that has a mistake; and an author who has books.
TOUR = [
    *("/bad/books/", "/bad/authors/", "/bad/tags/", "/bad/orders/", "/bad/counts/", "/bad/stock/"),
    *("/bad/descriptions/", "/bad/basket/", "/bad/gifts/", "/bad/columns/"),
]
AUTHORS = 20
MARK = "made-by-the-demo"


def say(text: str = "") -> None:
    print(text, flush=True)


def heading(text: str) -> None:
    say(f"\n== {text} " + "=" * max(3, 96 - len(text)))


def python_path() -> str:
    """Where the children find django_pgprism: in the clone, as if it were installed."""
    return os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))


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
            *("--models", self.write_models()),
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

    def write_models(self) -> Path:
        """The map of the shop's models, so that fixes have its own names: no database is needed for it."""
        done = subprocess.run(
            [sys.executable, "-m", "django_pgprism", "models", "--settings", "shop.settings"],
            cwd=HERE, env=os.environ | {"PYTHONPATH": python_path(), "DATABASE_URL": "postgres://nobody@127.0.0.1/none"},
            capture_output=True, text=True, timeout=60, check=False,
        )
        if done.returncode != 0:
            raise Failed(f"django_pgprism models ended with {done.returncode}\n{done.stderr[-4000:]}")
        models = self.folder / "models.json"
        models.write_text(done.stdout)
        return models

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
        """What a team changes to profile: DATABASE_URL leads to pgprism instead of PostgreSQL.

        With `pip install pgprism` it has findings name routes and lines too; here the clone's folder stands for that.
        """
        login = f"{self.database.user}:{quote(self.database.password)}"
        url = f"postgres://{login}@{self.proxy}/{self.database.database}"
        return os.environ | {"DATABASE_URL": url, "APPLICATION_NAME": application, "PYTHONPATH": python_path()}

    def fill_shop(self) -> None:
        say("manage.py        migrate and seed, through pgprism")
        self.manage("migrate", "--verbosity", "0")
        self.manage("seed")
        self.shop_port = free_port()
        self.shop = f"http://127.0.0.1:{self.shop_port}"

    def start_shop(self, *, fixed: bool = False) -> None:
        """Serves the shop; with `fixed`, the pages under /bad/ are their corrected twins."""
        name = "gunicorn-fixed" if fixed else "gunicorn"
        arguments = ["shop.wsgi", "--bind", f"127.0.0.1:{self.shop_port}", "--threads", "4", "--log-level", "warning"]
        self.server = server = self.start(
            name, [sys.executable, "-m", "gunicorn", *arguments],
            cwd=HERE, env=self.django_environment("shop") | {"SHOP_FIXED": "1" if fixed else ""},
        )

        def answers() -> bool:
            if server.exit_status is not None:
                raise Failed(f"gunicorn ended with {server.exit_status}\n{server.tail()}")
            return status_of(f"{self.shop}/") == 200

        wait_until(answers, "the shop answers", deadline_s=20, refused=(OSError,))

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

    def tour(self, author: int) -> None:
        """One visitor opens each page under /bad/, whoever serves it."""
        for path in TOUR:
            fetch(f"{self.shop}{path}")
        post(f"{self.shop}/bad/prices/", author=str(author))

    def find(self) -> list[Finding]:
        """Every finding, once every mistake of the shop was found."""
        # Whoever came last may have left long ago: what is found has to be open now.
        self.tour(AUTHORS)
        return wait_found(self.admin)

    def fix(self) -> float:
        """Serves the corrected pages and visits them until nothing is open; how long that took."""
        heading("the same pages, corrected (SHOP_FIXED=1)")
        self.server.stop()
        self.start_shop(fixed=True)
        began, rounds = time.monotonic(), 0
        while still_open(self.admin):
            if time.monotonic() > began + FIXED_WITHIN_S:
                left = "\n".join(in_words(one) for one in still_open(self.admin))
                raise Failed(f"after {rounds} rounds through the corrected pages these are not fixed:\n{left}")
            rounds += 1
            self.tour(rounds % AUTHORS + 1)
        say(f"{rounds} visits of each corrected page, {time.monotonic() - began:.1f} s")
        return time.monotonic() - began

    def report(self, name: str, *options: str) -> str:
        """What `pgprism report` says now; kept as a file too."""
        done = subprocess.run(
            [tools.pgprism(), "report", "--admin", self.admin, *options],
            capture_output=True, text=True, timeout=20, check=False,
        )
        if done.returncode != 0:
            raise Failed(f"pgprism report ended with {done.returncode}\n{done.stderr}")
        (self.folder / name).write_text(done.stdout)
        return done.stdout

    def show_report(self) -> None:
        heading(f"pgprism report --admin {self.admin}")
        say(self.report("report.txt").rstrip())
        self.report("report.html", "--format", "html")

    def show_fixed(self) -> list[Finding]:
        heading("pgprism report, once the pages are corrected")
        say(self.report("report-fixed.txt").rstrip())
        return all_findings(self.admin)

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
            say(f"page             {self.admin}/")
            say(f"metrics          {self.admin}/metrics")
            say(f"API              {self.admin}/api/v1/queries   {self.admin}/api/v1/summary")
            say(f"Prometheus       {self.prometheus.url}/graph")
            say(f"report           {os.path.relpath(tools.pgprism())} report --admin {self.admin}")
        else:
            say(f"It ran at        {self.admin}/metrics, {self.admin}/api/v1/queries, {self.prometheus.url}")
        say(f"report as a page {relative}/report.html")
        say(f"slow-query log   {relative}/slow.log")
        say(f"everything else  {relative}/: report.txt report-fixed.txt metrics.txt and the log of each part")

    def end_pgprism(self) -> None:
        """Its clients first, as in a deployment; then it has to end by itself, with 0."""
        self.pgprism.send(signal.SIGTERM)
        status = self.pgprism.wait(30)
        if status != 0:
            raise Failed(f"pgprism ended with {status}\n{self.pgprism.tail()}")


def stay(demo: Demo) -> None:
    """Serves the shop with its mistakes again, and one visitor goes on, so that there is something to look at."""
    say(f"\nEverything stays up until Ctrl-C. A visitor opens each page under /bad/ every {TOUR_EVERY_S:.0f} s.")
    with contextlib.suppress(KeyboardInterrupt):
        demo.server.stop()
        demo.start_shop()
        for visit in itertools.count():
            # Whoever stops a part of it to see what happens has the rest stay up.
            with contextlib.suppress(OSError):
                demo.tour(visit % AUTHORS + 1)
            time.sleep(TOUR_EVERY_S)


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
        demo.fill_shop()
        demo.start_shop()
        say(f"Shop             {demo.shop}")
        demo.drive(seconds)
        findings = demo.find()
        scrape = demo.settle()
        demo.show_report()
        demo.show_slow_log()
        demo.show_metrics(scrape)
        checked = list(check_everything(demo.admin, scrape, demo.slow_log, demo.prometheus))
        demo.fix()
        fixed = demo.show_fixed()
        heading("checked")
        for line in (*check_found(findings), *check_fixed(findings, fixed), *checked):
            say(f"ok  {line}")
        say(f"ok  all of it in {time.monotonic() - began:.0f} s")
        demo.show_places(stays)
        if stays:
            stay(demo)
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
