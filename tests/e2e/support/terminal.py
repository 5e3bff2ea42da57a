"""A real terminal without anybody before it: tmux, on a server of the test's own."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from . import tools
from .processes import run, scratch_folder
from .waiting import wait_until

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")


class Screen:
    """A command in a terminal of `columns` by `lines`: keys go in, what one would see comes out.

    It runs inside a shell, so that what is left of the terminal at its end can be seen, too.
    """

    def __init__(self, columns: int, lines: int, **environment: str) -> None:
        self._folder = scratch_folder("tmux")
        self._socket = self._folder / "socket"
        config = self._folder / "tmux.conf"
        config.write_text("set -g status off\nset -g escape-time 0\nset -g history-limit 5000\n")
        wanted = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "PS1": "$ ",
            "TMUX_TMPDIR": str(self._folder),
        } | environment
        self._environment = wanted | {"TERM": "xterm-256color"}
        inner = [f"{name}={value}" for name, value in wanted.items()]
        term = ["TERM=" + environment["TERM"]] if "TERM" in environment else []
        self._tmux(
            "-f", str(config), "new-session", "-d", "-s", "test", "-x", str(columns), "-y", str(lines),
            shlex.join(["env", *inner, *term, "bash", "--norc", "--noprofile"]),
        )
        wait_until(lambda: "$" in self.text(), "the shell is there")

    def _tmux(self, *arguments: str) -> str:
        done = run(
            [tools.program("tmux"), "-S", self._socket, *arguments], env=self._environment, deadline_s=20
        )
        return done.stdout

    def run(self, *argv: str | Path) -> None:
        """Types a command into the shell."""
        self.type(shlex.join(str(part) for part in argv))
        self.press("Enter")

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-t", "test", "-l", text)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: `Enter`, `Escape`, `C-c`, `NPage`, `j`."""
        self._tmux("send-keys", "-t", "test", *keys)

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-t", "test", "-x", str(columns), "-y", str(lines))

    def text(self) -> str:
        """What is on it, line by line."""
        return self._tmux("capture-pane", "-p", "-t", "test")

    def lines(self) -> list[str]:
        return self.text().splitlines()

    def painted(self) -> str:
        """What is on it, with the escape sequences that paint it."""
        return self._tmux("capture-pane", "-p", "-e", "-t", "test")

    def colours(self) -> set[str]:
        """Parameters of its SGR sequences that choose a colour."""
        found: set[str] = set()
        for parameters in _SGR.findall(self.painted()):
            for one in parameters.split(";"):
                if re.fullmatch(r"(3[0-8]|4[0-8]|9[0-7]|10[0-7])(:.*)?", one):
                    found.add(one)
        return found

    def flag(self, name: str) -> str:
        """A fact of the terminal by tmux's name: `alternate_on`, `cursor_flag`, `cursor_x`."""
        return self._tmux("display-message", "-p", "-t", "test", f"#{{{name}}}").strip()

    def modes(self) -> str:
        """The settings of the terminal's line, by `stty`, once the shell has it."""
        marker = f"stty-{os.urandom(4).hex()}"
        target = self._folder / marker
        self.type(f"stty -g > {target}; echo {marker[:9]}''{marker[9:]}")
        self.press("Enter")
        wait_until(lambda: marker in self.text(), "stty has said so")
        return target.read_text().strip()

    def wait(self, what: str | Callable[[str], object], deadline_s: float = 15.0) -> str:
        """Waits until this is on it; answers all of it."""
        is_there = what if callable(what) else lambda text: what in text
        name = "the screen is as wanted" if callable(what) else f"the screen shows {what!r}"

        def seen() -> str:
            text = self.text()
            return text if is_there(text) else ""

        try:
            return wait_until(seen, name, deadline_s=deadline_s, every_s=0.05)
        except AssertionError:
            print(self.text())
            raise

    def child(self, name: str) -> int:
        """The process id of the command that the shell runs."""
        shell = int(self.flag("pane_pid"))

        def found() -> int:
            for pid in _children(shell):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                        return pid
            return 0

        return wait_until(found, f"the shell runs {name}")

    def close(self) -> None:
        with contextlib.suppress(AssertionError):
            self._tmux("kill-server")


def _children(pid: int) -> Sequence[int]:
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
