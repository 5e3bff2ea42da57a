"""Child processes that end with the test run, whatever happens to it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_children: set[Child] = set()
_folders: list[Path] = []


@dataclass(frozen=True)
class Account:
    """Who a process runs as; PostgreSQL refuses to be root."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """The account for servers that refuse to be root, or `None` when we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise RuntimeError("no account to run PostgreSQL as: neither `postgres` nor `nobody` exists")


def become(account: Account | None) -> None:
    """In a forked child: takes on `account` and asks to be killed when the parent dies."""
    if account is not None:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
    # After setuid, which would clear it.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A process with a log of its own (stdout and stderr together unless `stdout` is given)."""

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        account: Account | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        pass_fds: Sequence[int] = (),
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            # The kernel sends the death signal when the forking thread ends.
            raise RuntimeError("start processes from the main thread")
        self.argv = [os.fspath(part) for part in argv]
        self.log = log
        self.stop_signal = stop_signal
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=dict(os.environ if env is None else env),
                cwd=cwd,
                pass_fds=pass_fds,
                preexec_fn=lambda: become(account),  # noqa: PLW1509 - forked before threads matter
            )
        _children.add(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Its exit status (negative: the signal that ended it), or `None` while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, deadline_s: float) -> int:
        """Waits for its end; past the deadline it is killed and the caller told."""
        try:
            status = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.argv[0]} (pid {self.pid}) did not end within {deadline_s} s\n{self.tail()}"
            ) from None
        _children.discard(self)
        return status

    def stop(self, deadline_s: float = 15.0) -> int:
        if self.exit_status is None:
            self.send(self.stop_signal)
        return self.wait(deadline_s)

    def kill(self) -> None:
        if self.exit_status is None:
            self._process.kill()
            self._process.wait()
        _children.discard(self)

    def tail(self, bytes_max: int = 4000) -> str:
        """The end of its log, for messages."""
        text = self.log.read_bytes()[-bytes_max:].decode(errors="replace") if self.log.exists() else ""
        return f"--- {self.log} ---\n{text}"

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return self._status_bytes("VmRSS")

    def anonymous_bytes(self) -> int:
        """Resident memory now, without what is mapped from files: the program's own text."""
        return self._status_bytes("RssAnon")

    def _status_bytes(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"pid {self.pid} has no {name}")

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptor_count(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@atexit.register
def _end_all() -> None:
    for child in list(_children):
        with contextlib.suppress(Exception):
            child.kill()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def scratch_folder(purpose: str, account: Account | None = None) -> Path:
    """A new folder, with a path short enough for Unix sockets, that `account` may use; gone when the run ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"pgprism-{purpose}-"))
    _folders.append(folder)
    folder.chmod(0o755)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    return folder


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    deadline_s: float = 60.0,
    env: Mapping[str, str] | None = None,
    account: Account | None = None,
    input: str | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; a failure tells what it wrote."""
    done = subprocess.run(
        [os.fspath(part) for part in argv],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=deadline_s,
        env=None if env is None else dict(env),
        input=input,
        cwd=cwd,
        preexec_fn=lambda: become(account),  # noqa: PLW1509
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(map(str, argv))} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done
