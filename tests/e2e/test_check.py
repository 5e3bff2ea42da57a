"""`pgprism check` around the tests of a real project: what is new fails, what is known does not, each time alike."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import junitparser
import pytest
from markdown_it import MarkdownIt

from support import tools
from support.postgres import Address
from support.processes import run, scratch_folder
from support.runs import DEMO, environment

SUITE = Path(__file__).parent / "checked_shop"
PYTEST = [sys.executable, "-m", "pytest"]
RUNS = int(os.environ.get("PGPRISM_CHECK_RUNS", "2"))
"""Runs of the unchanged suite: plain, in random order, in parallel, in turn."""
GOOD_BOOKS = 'select_related("author", "publisher").prefetch_related("tags").order_by'
BASELINE = "pgprism-baseline.json"


@dataclass
class Checked:
    """What `pgprism check` said."""

    status: int
    stdout: str
    stderr: str

    @property
    def judgement(self) -> str:
        """What stands behind the command's own output."""
        return self.stderr[self.stderr.index("pgprism check: ") :]


class Project:
    """A copy of the shop with its tests, as somebody's working tree."""

    def __init__(self, address: Address) -> None:
        self.folder = scratch_folder("project")
        shutil.copytree(DEMO / "shop", self.folder / "shop", ignore=shutil.ignore_patterns("__pycache__", "tests.py"))
        shutil.copy(DEMO / "manage.py", self.folder)
        shutil.copytree(SUITE, self.folder / "suite", ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
        shutil.move(self.folder / "suite" / "pytest.ini", self.folder / "pytest.ini")
        self.env = environment(address, PYTHONPATH=str(tools.PROJECT / "python" / "src"))
        for name in [name for name in self.env if name.startswith(("GITHUB", "PYTEST"))]:
            del self.env[name]

    def check(self, *options: str | Path, command: list[str] | None = None, **env: str) -> Checked:
        done = run(
            [tools.pgprism(), "check", *options, "--", *(command or [*PYTEST, "suite"])],
            env=self.env | env, cwd=self.folder, deadline_s=120, check=False,
        )
        return Checked(done.returncode, done.stdout, done.stderr)

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, (path, old)
        file.write_text(text.replace(old, new))

    @property
    def baseline(self) -> Path:
        return self.folder / BASELINE

    def copy(self) -> Project:
        """Another working tree of it: its tests make a database of another name."""
        other = object.__new__(Project)
        other.folder = scratch_folder("project") / "tree"
        shutil.copytree(self.folder, other.folder, ignore=shutil.ignore_patterns("__pycache__"))
        other.env = dict(self.env)
        return other


@pytest.fixture(scope="module")
def known(servers) -> Iterator[Project]:
    """The project with the baseline of what is there now."""
    server = servers(18)
    address = server.create_database("checked")
    project = Project(address)
    first = project.check()
    assert first.status == 1, first.stderr
    assert f"there is no {BASELINE} yet" in first.judgement
    assert f"writes {BASELINE} with what is there now" in " ".join(first.judgement.split())
    assert not project.baseline.exists()
    done = project.check("--update")
    assert done.status == 0, done.stderr
    yield project
    server.sql('DROP DATABASE "checked" WITH (FORCE)')


@pytest.fixture
def project(known: Project) -> Project:
    return known.copy()


def test_the_baseline_is_for_people_and_for_git(known: Project) -> None:
    lines = known.baseline.read_text().splitlines()
    whole = json.loads(known.baseline.read_text())
    assert whole["pgprism_baseline"] == 1
    assert lines[-1] == "{}]}"
    entries = [json.loads(line.removesuffix(",")) for line in lines[1:-1]]
    assert entries == whole["entries"][:-1]
    findings = [entry for entry in entries if "finding" in entry]
    assert findings == sorted(findings, key=lambda entry: entry["finding"])
    assert entries[: len(findings)] == findings
    by_title = {entry["title"]: entry for entry in findings}
    joined = by_title["Join shop_publisher in the query that reads shop_book"]
    assert joined["kind"] == "n_plus_one_forward"
    assert joined["loop"] == "shop_book.publisher_id -> shop_publisher.id"
    kinds = {entry["kind"] for entry in findings}
    assert {"n_plus_one_reverse", "n_plus_one_many_to_many", "n_plus_one_aggregate", "write_loop"} <= kinds
    # What a test does itself is nobody's page, and how many queries a page may send is a budget's.
    assert not [entry for entry in findings if "shop_tag" in entry["loop"] and entry["kind"] == "write_loop"]
    assert "chatty_unit" not in kinds
    for entry in entries[len(findings) :]:
        assert re.fullmatch(r"[125]0*", str(entry["calls"])) and re.fullmatch(r"[125]0*", str(entry["rows"]))
    assert "test_checked" not in known.baseline.read_text()


@pytest.mark.smoke
def test_the_unchanged_suite_passes_each_time(known: Project) -> None:
    """In any order, in two processes with a database each: nothing new, nothing gone, the same baseline."""
    before = known.baseline.read_bytes()
    for number in range(RUNS):
        order = {
            0: ["--random-order", f"--random-order-seed={number}"],
            1: ["-n", "2", "--random-order", f"--random-order-seed={number}"],
            2: [],
            3: ["-n", "2"],
        }[number % 4]
        done = known.check(command=[*PYTEST, "suite", *order])
        assert done.status == 0, f"{order}\n{done.stderr}"
        assert "gone" not in done.judgement, f"{order}\n{done.stderr}"
        assert "OK: nothing new, no limit broken" in done.judgement
    done = known.check("--update", command=[*PYTEST, "suite", "-n", "2"])
    assert done.status == 0, done.stderr
    assert known.baseline.read_bytes() == before, done.stderr


@pytest.mark.smoke
def test_a_loop_that_is_new_fails_everywhere_it_is_told(project: Project) -> None:
    project.edit("shop/views/good.py", GOOD_BOOKS, GOOD_BOOKS.replace('"author", ', ""))
    markdown, junit, summary = (project.folder / name for name in ("check.md", "check.xml", "summary.md"))
    summary.write_text("# Before\n")
    done = project.check("--markdown", markdown, "--junit", junit, GITHUB_ACTIONS="true")
    assert done.status == 1, done.stderr
    judgement = done.judgement
    assert "1 NEW FINDING\n" in judgement
    assert "1 proved     Join shop_author in the query that reads shop_book" in judgement
    assert "proof      shop_book.author_id -> shop_author.id, 12 of 12 rows in order" in judgement
    assert 'fix        select_related("publisher", "author")' in judgement or "select_related" in judgement
    assert re.search(r"test +suite/test_pages.py::test_a_page_answers\[/books/\] and 1 more", judgement)
    line = next(
        n for n, text in enumerate((project.folder / "shop/views/good.py").read_text().splitlines(), 1)
        if '"shop/books.html"' in text
    )
    assert re.search(rf"line +shop/views/good\.py:{line}\n", judgement)
    assert judgement.rstrip().endswith("FAILED: 1 new finding")

    [annotation] = annotations(done.stdout)
    command, properties, message = annotation
    assert command == "error"
    assert properties == {
        "file": "shop/views/good.py",
        "line": str(line),
        "title": "pgprism: Join shop_author in the query that reads shop_book",
    }
    assert "proof: shop_book.author_id -> shop_author.id, 12 of 12 rows in order" in message.splitlines()

    tokens = MarkdownIt("commonmark").enable("table").parse(markdown.read_text())
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[0] == "pgprism check: FAILED: 1 new finding"
    assert headings[1] == "1 new finding"
    [fence] = [token for token in tokens if token.type == "fence"]
    assert (fence.info, "select_related" in fence.content) == ("python", True)

    xml = junitparser.JUnitXml.fromfile(str(junit))
    suites = {suite.name: suite for suite in xml}
    assert set(suites) == {"findings", "shapes", "budgets", "observation"}
    failed = [case for suite in xml for case in suite if not case.is_passed]
    assert [case.name for case in failed] == [case.name for case in failed if "Join shop_author" in case.name]
    assert len(failed) == 1 and failed[0].result[0].type == "n_plus_one_forward"
    assert "12 of 12 rows in order" in failed[0].result[0].text
    assert (xml.failures, xml.tests) == (1, sum(len(list(suite)) for suite in xml))
    known_findings = sum('"finding"' in line for line in project.baseline.read_text().splitlines())
    assert suites["findings"].tests == known_findings + 1

    # The baseline takes it in: then it is nobody's news, and one that is mended is told and taken out.
    done = project.check("--update", "--markdown", summary, GITHUB_STEP_SUMMARY=str(summary))
    assert done.status == 0, done.stderr
    assert f"{BASELINE}: 1 finding added, 0 taken out" in done.judgement
    assert summary.read_text().startswith("# Before\n## pgprism check: OK")
    project.edit("shop/views/good.py", GOOD_BOOKS.replace('"author", ', ""), GOOD_BOOKS)
    done = project.check()
    assert done.status == 0, done.stderr
    assert "1 finding of the baseline not seen; --update takes them out:" in done.judgement
    assert re.search(r"gone [0-9a-f]{16} n_plus_one_forward shop_book.author_id -> shop_author.id", done.judgement)


def annotations(stdout: str) -> list[tuple[str, dict[str, str], str]]:
    """The commands in a step's output, as GitHub's runner reads them."""

    def unescape(text: str, further: dict[str, str]) -> str:
        for written, meant in ({"%0D": "\r", "%0A": "\n"} | further | {"%25": "%"}).items():
            text = text.replace(written, meant)
        return text

    found = []
    for line in stdout.splitlines():
        if match := re.fullmatch(r"::([a-z-]+)(?: ([^:]*))?::(.*)", line):
            pairs = (pair.split("=", 1) for pair in (match[2] or "").split(",") if pair)
            properties = {key: unescape(value, {"%3A": ":", "%2C": ","}) for key, value in pairs}
            found.append((match[1], properties, unescape(match[3], {})))
    return found


def test_a_new_shape_may_cost_so_much(project: Project) -> None:
    project.edit(
        "shop/views/good.py", "def home(request):\n",
        "def home(request):\n    list(Order.objects.filter(status='open').only('pk'))\n",
    )
    done = project.check()
    assert done.status == 0, f"a shape that is new is no mistake\n{done.stderr}"
    for option, limit, figure in [
        ("--new-shape-max-rows", "10", "new, with 12 rows in a call, at most 10 allowed"),
        ("--new-shape-max-mean", "1us", "at most 0.00 ms allowed (new_shape_max_mean)"),
    ]:
        done = project.check(option, limit, command=[*PYTEST, "suite/test_pages.py", "-k", "answers"])
        assert done.status == 1, done.stderr
        assert "1 SHAPE TOO EXPENSIVE" in done.judgement
        assert figure in done.judgement
        assert re.search(r"[0-9a-f]{16} SELECT shop_order\n", done.judgement)
    # The file of the configuration, and its variables, say the same.
    (project.folder / "pgprism.toml").write_text("[check]\nnew_shape_max_calls = 1\nnew_shape_max_rows = 10\n")
    done = project.check(PGPRISM_CONFIG="pgprism.toml", PGPRISM_CHECK_NEW_SHAPE_MAX_ROWS="0")
    assert done.status == 0, done.stderr


def test_a_known_shape_may_grow_by_a_factor(project: Project) -> None:
    project.edit("suite/conftest.py", "ROWS = 12", "ROWS = 25")
    done = project.check("--growth-factor", "2")
    assert done.status == 0, done.stderr
    done = project.check("--growth-factor", "1")
    assert done.status == 1, done.stderr
    assert re.search(r"25 rows in a call, it was 20 at most \(growth_factor\)", done.judgement)


def test_budgets_name_the_test_and_the_page(project: Project) -> None:
    done = project.check("--max-queries", "30", "--max-rows", "100", "--max-time", "1h")
    assert done.status == 1, done.stderr
    told = " ".join(done.judgement.split())
    assert re.search(r"bad/columns/ \d+ queries, at most 30 allowed \(max_queries\)", told)
    assert re.search(r"in suite/test_pages.py::test_a_page_answers\[/bad/columns/\]", told)
    assert not re.search(r"^books/$", done.judgement, re.MULTILINE), "three queries"
    assert "max_time" not in told
    # A test that sends no request is named itself, and only what it sent in its own name counts.
    done = project.check("--max-queries", "16", command=[*PYTEST, "suite/test_library.py"])
    named = re.findall(r"^(suite/\S+)$", done.judgement, re.MULTILINE)
    assert [name for name in named if "one_by_one" in name] == [
        f"suite/test_library.py::test_rows_are_made_one_by_one[{n}]" for n in range(6)
    ]
    assert "17 queries, at most 16 allowed" in done.judgement


def test_what_was_not_seen_is_not_judged(project: Project) -> None:
    before = project.baseline.read_bytes()
    few = {"PGPRISM_LIMITS_RING_EVENTS_MAX": "16", "PGPRISM_TICK": "250ms"}
    done = project.check(**few)
    assert done.status == 1, done.stderr
    told = " ".join(done.judgement.split())
    assert re.search(r"missing: [\d,]+ events were dropped \(ring_full\): raise limits.ring_events_max", told)
    assert "not everything was seen" in told and "gone" not in told
    done = project.check("--update", **few)
    assert done.status == 1
    assert "was left as it is" in done.judgement and project.baseline.read_bytes() == before


def test_a_suite_that_failed_has_failed(project: Project) -> None:
    before = project.baseline.read_bytes()
    script = " ".join([*PYTEST, "suite/test_library.py", "-k", "publishers", "; exit 3"])
    for options in ([], ["--update"], ["--max-queries", "1"]):
        done = project.check(*options, command=["sh", "-c", script])
        assert done.status == 3, done.stderr
        assert "the command failed with 3" in done.judgement
        assert not re.search(r"^  gone ", done.judgement, re.MULTILINE)
    assert project.baseline.read_bytes() == before


def test_without_tags_all_units_are_judged_and_told_so(project: Project) -> None:
    project.edit("pytest.ini", " -p django_pgprism.pytest_plugin", "")
    done = project.check("--baseline", "other.json", command=[*PYTEST, "suite/test_pages.py"])
    assert done.status == 1
    told = " ".join(done.judgement.split())
    assert "note: no query carries a test's id" in told
    assert "Join shop_publisher in the query that reads shop_book" in told
    assert "content_type" not in told, "what prepares the database is nobody's loop"


class TestBaselines:
    """Files alone: no server is needed to read one."""

    @staticmethod
    def read(folder: Path, *options: str) -> tuple[int, str]:
        command = [tools.pgprism(), "check", *options, "--", "true"]
        done = run(command, env=environment(), cwd=folder, check=False, deadline_s=60)
        return done.returncode, done.stderr

    @staticmethod
    def line(number: int, **more: str) -> str:
        return json.dumps({"finding": f"{number:016x}", "kind": "duplicate", "title": "Again"} | more) + ","

    def text(self, numbers: list[int]) -> str:
        lines = [self.line(number) for number in sorted(numbers)]
        return "\n".join(['{"pgprism_baseline":1,"entries":[', *lines, "{}]}"]) + "\n"

    def test_one_that_cannot_be_read_is_a_mistake_before_anything_runs(self) -> None:
        folder = scratch_folder("baseline")
        file = folder / BASELINE
        good = self.text([1, 2, 3])
        for text, problem in [
            (good.replace('"kind": "duplicate"', '"kind": "dupli', 1), "line 2: "),
            (good.replace('entries":[', 'entries":[\n<<<<<<< HEAD'), "line 2: marks of a merge"),
            (good.replace('baseline":1', 'baseline":7'), "line 1: version 7 is newer than this pgprism reads (1)"),
            ("", "line 1: "),
            ("[]", "line 1: "),
        ]:
            file.write_text(text)
            status, said = self.read(folder)
            assert status == 64, said
            assert f"pgprism: baseline {BASELINE}: {problem}" in said
            assert len(said.splitlines()) == 1, said
        file.write_text(good)
        status, said = self.read(folder)
        assert status == 1 and "no query came through pgprism" in " ".join(said.split())

    def test_branches_merge_by_themselves(self) -> None:
        """Lines that lie apart by `git merge` alone, any lines by `merge=union`."""
        git = Repository(scratch_folder("merges"))
        union = ".gitattributes", f"{BASELINE} merge=union\n"
        spread = [0x1000 * n for n in range(1, 20)]
        cases = [
            # Ours, theirs, whether it takes the attribute.
            ([*spread, 0x1100], [*spread, 0x9100], False),
            ([*spread, 0x1100, 0x5100], [*spread, 0x3100, 0xF100], False),
            ([*spread, 0x1100], [*spread, 0x1200], True),
            ([*spread, 0xFFFFF], [*spread, 0xFFFFE], True),
            ([*spread, 1], [*spread, 2], True),
            ([n for n in spread if n != 0x3000] + [0x3100], [*spread, 0x3200], True),
            ([*spread, 1, 0x1100, 0xFFFFF], [*spread, 1, 0x1100, 0xFFFFE], True),
        ]
        for ours, theirs, attribute in cases:
            git.begin({BASELINE: self.text(spread)} | (dict([union]) if attribute else {}))
            git.commit("ours", {BASELINE: self.text(ours)})
            git.commit("theirs", {BASELINE: self.text(theirs)})
            merged = git.merge("ours", "theirs")[BASELINE]
            ids = {int(entry["finding"], 16) for entry in json.loads(merged)["entries"] if entry}
            assert (set(ours) | set(theirs)) >= ids >= (set(ours) & set(theirs)), merged
            assert ids >= set(ours) - set(spread) | set(theirs) - set(spread)
            status, said = self.read(git.folder)
            assert status == 1, said


class Repository:
    """A real one, emptied for each merge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> None:
        settings = ["user.name=t", "user.email=t@t", "init.defaultBranch=base", "core.hooksPath=/dev/null"]
        own = [word for setting in settings for word in ("-c", setting)]
        done = subprocess.run(["git", *own, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr

    def _write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "step")

    def begin(self, files: dict[str, str]) -> None:
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.git("init", "-q")
        self._write(files)

    def commit(self, branch: str, files: dict[str, str]) -> None:
        self.git("checkout", "-qb", branch, "base")
        self._write(files)

    def merge(self, ours: str, theirs: str) -> dict[str, str]:
        self.git("checkout", "-q", ours)
        self.git("merge", "-q", "--no-edit", theirs)
        return {BASELINE: (self.folder / BASELINE).read_text()}


def test_annotations_are_read_as_they_are_meant() -> None:
    [(command, properties, message)] = annotations("::error file=a%2Cb.py,line=3,title=x%3A%25::y%0Az: 100%25, w\n")
    assert (command, properties["file"], properties["title"]) == ("error", "a,b.py", "x:%")
    assert message == "y\nz: 100%, w"
