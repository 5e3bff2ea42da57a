"""What else can stand between a client and PostgreSQL, so that figures have something to be read against.

Each listens on one port for its whole life and can be killed, ended gently and started again there.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import tools
from .processes import Account, Child, free_port, run, scratch_folder, unprivileged_account
from .waiting import wait_until

Endpoint = tuple[str, int]


@dataclass(frozen=True)
class UnixSocket:
    """An upstream that is reached by PostgreSQL's socket for that port in a folder."""

    folder: Path
    port: int

    @property
    def path(self) -> Path:
        return self.folder / f".s.PGSQL.{self.port}"


Upstream = Endpoint | UnixSocket


@dataclass
class Rival:
    """A proxy on a port of its own, and how it is told to end gently."""

    name: str
    version: str
    endpoint: Endpoint
    argv: Sequence[str | os.PathLike[str]]
    folder: Path
    gentle: signal.Signals
    account: Account | None = None
    processes: list[Child] = field(default_factory=list)

    @property
    def process(self) -> Child:
        """The latest one; those before may still be ending."""
        return self.processes[-1]

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self, descriptors_max: int | None = None) -> None:
        """Starts one more process on the same port and waits until it takes connections."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        argv = list(self.argv)
        limit = descriptors_max or hard
        argv = [tools.program("prlimit"), f"--nofile={limit}:{limit}", *argv]
        self.processes.append(Child(argv, self.log, account=self.account))

        def listens() -> bool:
            if self.process.exit_status is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.exit_status}\n{self.process.tail()}")
            return _listens(self.process.pid, self.endpoint[1])

        wait_until(listens, f"{self.name} listens", every_s=0.005, deadline_s=15)

    def kill(self) -> None:
        self.process.kill()

    def end_gently(self) -> Child:
        """Tells the latest process to end; what it still serves it may finish."""
        self.process.send(self.gentle)
        return self.process

    def stop(self) -> None:
        for process in self.processes:
            process.kill()

    def __enter__(self) -> Rival:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def haproxy(upstream: Upstream, connections_max: int = 8000) -> Rival:
    """TCP mode, two threads, no splicing: it relays and looks at nothing."""
    folder, port = scratch_folder("haproxy"), free_port()
    is_unix = isinstance(upstream, UnixSocket)
    server = f"unix@{upstream.path}" if is_unix else f"{upstream[0]}:{upstream[1]} tcp-ut 3s"
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""
global
    nbthread 2
    maxconn {connections_max}
    hard-stop-after 10s
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen postgres
    bind 127.0.0.1:{port} tcp-ut 3s
    server one {server}
"""
    )
    program = tools.program("haproxy")
    version = run([program, "-v"]).stdout.split()[2].partition("-")[0]
    argv = [program, "-db", "-f", config]
    return Rival("haproxy", version, ("127.0.0.1", port), argv, folder, signal.SIGUSR1)


def pgbouncer(
    upstream: Upstream,
    users: Sequence[str] = ("raw",),
    log: Path | None = None,
    passwords: Mapping[str, str] | None = None,
) -> Rival:
    """Session pooling: one server connection for each client connection, as the others have.

    With `passwords` those users log in by SCRAM, on both legs; without, everybody is let in.
    """
    account = unprivileged_account()
    folder, port = scratch_folder("pgbouncer", account), free_port()
    config = folder / "pgbouncer.ini"
    known = {user: "" for user in users} if passwords is None else passwords
    (folder / "users.txt").write_text("".join(f'"{user}" "{password}"\n' for user, password in known.items()))
    host, its_port = (upstream.folder, upstream.port) if isinstance(upstream, UnixSocket) else upstream
    config.write_text(
        f"""
[databases]
* = host={host} port={its_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
listen_backlog = 4096
unix_socket_dir =
auth_type = {"trust" if passwords is None else "scram-sha-256"}
auth_file = {folder}/users.txt
pool_mode = session
default_pool_size = 6000
max_client_conn = 6000
so_reuseport = 1
tcp_user_timeout = 3000
server_login_retry = 0.2
log_connections = {int(log is not None)}
log_disconnections = {int(log is not None)}
{f"logfile = {log}" if log else ""}
"""
    )
    program = tools.program("pgbouncer")
    version = run([program, "--version"]).stdout.split()[1]
    argv = [program, config]
    return Rival("pgbouncer", version, ("127.0.0.1", port), argv, folder, signal.SIGINT, account=account)


def pgprism(upstream: Endpoint, slow_log: Path | None = None, threshold: str = "1h", **timeouts: str) -> Rival:
    """Everything on, at its default; `timeouts` are keys of that section."""
    folder, port = scratch_folder("proxy"), free_port()
    config = folder / "pgprism.toml"
    config.write_text(
        f"""
reuse_port = true
[[listeners]]
name = "default"
listen = "127.0.0.1:{port}"
upstream = "postgres://{upstream[0]}:{upstream[1]}"
[admin]
listen = "127.0.0.1:0"
[slow_log]
path = "{slow_log or folder / "slow.log"}"
threshold = "{threshold}"
[timeouts]
"""
        + "".join(f'{key} = "{value}"\n' for key, value in timeouts.items())
    )
    program = tools.pgprism()
    version = run([program, "--version"]).stdout.split()[1]
    argv = ["env", "NO_COLOR=1", program, "serve", "--config", config]
    return Rival("pgprism", version, ("127.0.0.1", port), argv, folder, signal.SIGTERM)


def _listens(pid: int, port: int) -> bool:
    """Whether this very process, of perhaps several that share the port, listens on it."""
    inodes = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].partition(":")[2], 16) == port:
            inodes.add(f"socket:[{fields[9]}]")
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(descriptor) in inodes:
                return True
    return False


MAKERS: dict[str, Callable[..., Rival]] = {"pgprism": pgprism, "pgbouncer": pgbouncer, "haproxy": haproxy}
