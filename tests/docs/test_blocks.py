"""Blocks of code are what they say: Python compiles, TOML is a configuration, YAML parses, PromQL is a query.

The commands of `console` blocks are run by `stage/`; here it is only seen to that each has its place there.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from pages import PROJECT, Block, all_pages, blocks, inline_code, name_of, shell_blocks
from plan import PLAN, Explained
from support import tools

PAGES = all_pages()
LANGUAGES = {"console", "python", "toml", "yaml", "json", "promql", "sql", "text"}


def _of(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def _place(block: Block) -> str:
    return block.place


def test_every_block_says_what_it_is() -> None:
    wrong = [
        block.place for page in PAGES for block in blocks(page) if block.fenced and block.language not in LANGUAGES
    ]
    assert not wrong, f"no language, or one that no test knows: {wrong}"


@pytest.mark.parametrize("block", _of("python"), ids=_place)
def test_python_compiles(block: Block) -> None:
    ast.parse(block.text, filename=block.place)


@pytest.mark.parametrize("block", _of("yaml"), ids=_place)
def test_yaml_parses(block: Block) -> None:
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", _of("json"), ids=_place)
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", _of("promql"), ids=_place)
def test_promql_is_a_query(block: Block, tmp_path: Path) -> None:
    queries = [
        "\n".join(line for line in part.splitlines() if not line.startswith("#")) for part in block.text.split("\n\n")
    ]
    rules = [{"record": f"documented:query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "documented", "rules": rules}]}))
    done = subprocess.run(
        [tools.program("promtool"), "check", "rules", file], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", _of("toml"), ids=_place)
def test_toml_is_a_configuration(block: Block, tmp_path: Path) -> None:
    """Files that it names are put where it finds them."""
    text = block.text
    for file in sorted(set(re.findall(r"/etc/pgprism/[\w.-]+", text)), key=len, reverse=True):
        there = tmp_path / Path(file).name
        _furnish(there)
        text = text.replace(file, str(there))
    config = tmp_path / "pgprism.toml"
    config.write_text(text)
    done = subprocess.run(
        [tools.pgprism(), "check-config", config],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=_without_settings(),
    )
    assert done.returncode == 0, f"{block.place}\n{done.stderr}"


def _furnish(there: Path) -> None:
    match there.suffix:
        case ".crt" | ".key":
            folder = there.parent
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=db.internal", "-days", "2",
                 "-keyout", folder / "server.key", "-out", folder / "server.crt"],
                check=True, capture_output=True, timeout=30,
            )  # fmt: skip
            if there.name not in ("server.key", "server.crt"):
                there.write_bytes((folder / "server.crt").read_bytes())
        case ".json":
            there.write_text('{"version": 1, "generator": "a test", "django": "5.2", "models": []}')
        case _:
            there.write_text("a-token-that-is-long-enough\n")
    there.chmod(0o600)


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PGPRISM_")}


def test_every_command_is_run_or_explained() -> None:
    """A new command in a page fails here until `plan.py` has a place for it."""
    unknown = [f"{block.place}: {one}" for block in shell_blocks() for one in block.commands() if one not in PLAN]
    assert not unknown, "not in tests/docs/plan.py:\n" + "\n".join(unknown)


def test_the_plan_has_nothing_that_no_page_says() -> None:
    said = {command for block in shell_blocks() for command in block.commands()}
    assert set(PLAN) <= said, f"in no page: {sorted(set(PLAN) - said)}"


EXPLAINED = {command: step for command, step in PLAN.items() if isinstance(step, Explained)}


@pytest.mark.parametrize("command", EXPLAINED)
def test_what_cannot_be_run_is_checked_as_far_as_it_goes(command: str) -> None:
    step = EXPLAINED[command]
    assert len(step.reason) > 20, "say why"
    step.check(command)


HELP: dict[str, str] = {}


def _help(command: str) -> str:
    if command not in HELP:
        done = subprocess.run(
            [tools.pgprism(), command, "--help"], capture_output=True, text=True, timeout=20, check=True
        )
        HELP[command] = done.stdout
    return HELP[command]


SUBCOMMANDS = sorted(
    set(
        re.findall(
            r"^  ([a-z-]+) ",
            subprocess.run([tools.pgprism(), "--help"], capture_output=True, text=True, timeout=20, check=True)
            .stdout.partition("Commands:")[2].partition("Options:")[0],
            re.MULTILINE,
        )
    )
)  # fmt: skip


def _command_lines() -> list[tuple[str, str]]:
    """Each `pgprism …` of the pages, blocks and single backticks alike."""
    found = [(block.place, command) for block in shell_blocks() for command in block.commands()]
    found += [(f"{name_of(page)}:{line}", text) for page in PAGES for line, text in inline_code(page)]
    lines = []
    for place, text in found:
        for part in re.split(r"&&|\||;", text):
            part = re.sub(r"^\s*(?:[A-Z_]+=\S+ +)*", "", part).strip()
            if re.match(r"pgprism [a-z-]", part):
                lines.append((place, part))
    return lines


def test_flags_and_commands_that_pages_name_exist() -> None:
    wrong = []
    for place, line in _command_lines():
        try:
            words = shlex.split(line.replace("…", ""))[1:]
        except ValueError:
            wrong.append(f"{place}: {line}: quotes are not closed")
            continue
        command, rest = words[0], words[1:]
        if command.startswith("--") and command in ("--help", "--version"):
            continue
        if command not in SUBCOMMANDS:
            wrong.append(f"{place}: {line}: there is no command {command}")
            continue
        if "--" in rest:
            rest = rest[: rest.index("--")]
        for word in rest:
            flag = word.partition("=")[0]
            # `--fault` is for tests, and hidden.
            if flag.startswith("--") and flag not in ("--help", "--fault") and f"{flag}" not in _flags(command):
                wrong.append(f"{place}: {line}: {command} has no {flag}")
    assert not wrong, "\n".join(wrong)


def _flags(command: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", _help(command)))


ALL_FLAGS = {flag for command in SUBCOMMANDS for flag in _flags(command)} | {"--fault", "--help", "--version"}
# Of other programs, in single backticks.
OTHERS_FLAGS = {
    "--nofile", "--smoke", "--no-peers", "--mixed", "--only", "--raw", "--seed", "--traceback", "--settings", "--deploy",
    "--project", "--rounds", "--write", "--cells", "--full", "--bench",
    "--reuse-db", "--parallel", "--pgprism-admin", "--pgprism-token-file",
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_single_flags_exist(page: Path) -> None:
    wrong = [
        f"{name_of(page)}:{line}: {text}"
        for line, text in inline_code(page)
        if (flag := re.match(r"(--[a-z][a-z-]*)(?:[ =]|$)", text)) and flag[1] not in ALL_FLAGS | OTHERS_FLAGS
    ]
    assert not wrong, "\n".join(wrong)


def _keys() -> set[str]:
    table = (PROJECT / "docs" / "configuration.md").read_text()
    return set(re.findall(r"^\| `([a-z_.0-9]+)` \|", table, re.MULTILINE))


SECTIONS = ("admin", "listeners", "slow_log", "limits", "timeouts", "units", "advise", "debug", "check")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_configuration_keys_exist(page: Path) -> None:
    """`tests/cli.rs` compares the table of configuration.md with the program."""
    known = _keys()
    wrong = []
    for line, text in inline_code(page):
        key = re.match(rf"((?:{'|'.join(SECTIONS)})\.[a-z_0-9]+)(?: =|$)", text)
        # A class or a file may begin with the same word.
        if key and not re.search(r"\.(rs|md|py|toml|json|log)$", key[1]) and key[1] not in known:
            wrong.append(f"{name_of(page)}:{line}: {text}")
    assert not wrong, "\n".join(wrong)


def _metrics() -> set[str]:
    return set(re.findall(r"^\| `(pgprism_[a-z_]+)` \|", (PROJECT / "docs" / "metrics.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_metrics_exist(page: Path) -> None:
    """`tests/e2e/test_metrics.py` compares the tables of metrics.md with the program."""
    known = _metrics()
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}
    # A cookie, a secret of Compose, a key of the baseline, settings of the pytest plugin.
    known |= {"pgprism_session", "pgprism_token", "pgprism_baseline", "pgprism_admin", "pgprism_missing"}
    named = {name for name in re.findall(r"\bpgprism_[a-z_]+", page.read_text()) if not name.endswith("_")}
    assert named <= known, f"{name_of(page)}: {sorted(named - known)}"


TOP = (
    "src",
    "tests",
    "docs",
    "config",
    "demo",
    "scripts",
    "tools",
    "fuzz",
    "bench",
    "benches",
    "python",
    "ui",
    "docker",
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_pages_name_exist(page: Path) -> None:
    wrong = []
    for line, text in inline_code(page):
        path = re.match(rf"((?:{'|'.join(TOP)})/[\w./-]+)(?:::\w+|:\d+)?(?: |$)", text)
        if path and not (PROJECT / path[1]).exists():
            wrong.append(f"{name_of(page)}:{line}: {text}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_of_make_that_pages_name_exist(page: Path) -> None:
    known = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target[1] for _, text in inline_code(page) if (target := re.match(r"make ([a-z][a-z-]*)(?: |$)", text))
    }  # fmt: skip
    assert named <= known, f"{name_of(page)}: make has no {sorted(named - known)}"
