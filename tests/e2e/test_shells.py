"""Completions as shells play them, and manual pages as their readers see them."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import tools
from support.processes import run, scratch_folder

_BASH = r"""
source <("$1" completions bash)
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
# What `complete` registered is called as bash calls it.
registered=$(complete -p pgprism)
[[ $registered =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" pgprism "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""

COMPLETED = [
    (["pgprism", "ser"], {"serve"}),
    (["pgprism", "serve", "--upst"], {"--upstream"}),
    (["pgprism", "report", "--format", "ma"], {"markdown"}),
]
# fish's script from clap knows no values but those of flags.
OF_ARGUMENTS = [(["pgprism", "completions", "fi"], {"fish"})]


@pytest.mark.smoke
@pytest.mark.parametrize(("words", "answers"), COMPLETED + OF_ARGUMENTS)
def test_bash_completes(words: list[str], answers: set[str]) -> None:
    done = run(["bash", "--norc", "-c", _BASH, "bash", tools.pgprism(), *words])
    assert set(done.stdout.split()) == answers, done.stdout + done.stderr


@pytest.mark.smoke
def test_bash_offers_every_command() -> None:
    done = run(["bash", "--norc", "-c", _BASH, "bash", tools.pgprism(), "pgprism", ""])
    listed = _commands()
    assert {"run", "serve", "completions"} <= listed
    assert listed <= set(done.stdout.split()), done.stdout


def _commands() -> set[str]:
    """The commands that the program lists."""
    _, _, rest = run([tools.pgprism(), "--help"]).stdout.partition("\nCommands:\n")
    return set(re.findall(r"^  ([a-z-]+) ", rest.partition("\n\n")[0], re.MULTILINE))


def _script(shell: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(run([tools.pgprism(), "completions", shell]).stdout)


@pytest.mark.parametrize(("words", "answers"), COMPLETED)
def test_fish_completes(words: list[str], answers: set[str]) -> None:
    home = scratch_folder("fish")
    _script("fish", home / ".config/fish/completions/pgprism.fish")
    done = run(
        [tools.program("fish"), "-c", f"complete -C '{' '.join(words)}'"], env=_environment(home), cwd=home
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == answers, done.stdout + done.stderr


@pytest.mark.parametrize(("words", "answers"), COMPLETED + OF_ARGUMENTS)
def test_zsh_completes(words: list[str], answers: set[str]) -> None:
    home = scratch_folder("zsh")
    _script("zsh", home / "functions/_pgprism")
    (home / ".zshrc").write_text(
        "PS1='ready> '\nfpath=(~/functions $fpath)\nautoload -U compinit && compinit -u -D\nunsetopt beep\n"
    )
    typed = " ".join(words)
    (answer,) = answers
    completed = " ".join([*words[:-1], answer])
    with _Terminal([str(tools.program("zsh")), "-i"], _environment(home), home) as terminal:
        terminal.wait_for("ready> ")
        terminal.type(f"{typed}\t")
        terminal.wait_for(completed)


def _environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home), "PATH": f"{tools.pgprism().parent}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


class _Terminal:
    """A shell at a terminal, its output kept."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=cwd, start_new_session=True
        )
        os.close(theirs)
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, text: str, deadline_s: float = 20.0) -> None:
        end = time.monotonic() + deadline_s
        while text not in self._seen:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} was not seen within {deadline_s} s: {self._seen!r}"
            self._seen += os.read(self._ours, 4096).decode(errors="replace")

    def __enter__(self) -> _Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        os.close(self._ours)


@pytest.mark.smoke
def test_every_command_has_a_page_that_man_reads_without_a_warning() -> None:
    folder = scratch_folder("man")
    run([tools.pgprism(), "man", folder / "man1"])
    pages = sorted((folder / "man1").iterdir())
    assert {page.name for page in pages} == {"pgprism.1", *(f"pgprism-{name}.1" for name in _commands())}
    if shutil.which("man") is None:
        return  # an image without manuals; mandoc reads them in the acceptance
    for page in pages:
        env = os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
        shown = run(["man", "--warnings", "-l", page], env=env)
        assert shown.stderr == "", shown.stderr
        assert "EXAMPLES" in shown.stdout


# No date: a page is as old as its program. The other two are what clap_mangen writes around a flag's possible values.
_KNOWN = ("missing date", "skipping paragraph macro: br before sp", "skipping paragraph macro: br after sp")


def test_mandoc_has_nothing_to_say() -> None:
    folder = scratch_folder("man")
    run([tools.pgprism(), "man", folder])
    done = run([tools.program("mandoc"), "-T", "lint", "-W", "warning", *sorted(folder.glob("*.1"))], check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if not any(known in line for known in _KNOWN)]
    assert said == []


@pytest.mark.smoke
def test_a_page_on_stdout_is_the_programs_own() -> None:
    folder = scratch_folder("man")
    run([tools.pgprism(), "man", folder])
    assert run([tools.pgprism(), "man"]).stdout == (folder / "pgprism.1").read_text()


@pytest.mark.smoke
def test_mistakes_are_said_on_one_line() -> None:
    file = scratch_folder("man") / "file"
    file.write_text("")
    for words, said in [
        (["completions", "tcsh"], "bash, elvish, fish, powershell, zsh"),
        (["completions"], "<SHELL>"),
        (["man", str(file / "below")], "cannot write the pages into"),
    ]:
        done = run([tools.pgprism(), *words], check=False)
        assert (done.returncode, done.stdout) == (64, ""), done.stderr
        assert said in done.stderr and done.stderr.count("\n") == 1, done.stderr
