"""Hosts that vanish and names that move, for the processes of one test alone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import run, scratch_folder

_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def private_network() -> Iterator[None]:
    """Takes this thread, and what it starts meanwhile, into a network of their own, where every port is free.

    It has nothing but loopback.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise RuntimeError(
                f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}; "
                "this test needs ports 5432, 6433 and 9433 for itself: run it as root, or with CAP_SYS_ADMIN"
            )
        try:
            run(["ip", "link", "set", "lo", "up"])
            yield
        finally:
            if libc.setns(outside, _CLONE_NEWNET) != 0:
                raise RuntimeError(f"cannot return from the network namespace: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(outside)


class Island:
    """A network of its own behind a cable: what it does not answer, a host that has vanished does not answer either."""

    def __init__(self) -> None:
        self._name = f"pgprism-{os.getpid()}"
        third = os.getpid() % 250
        self.here, self.there = f"10.231.{third}.1", f"10.231.{third}.2"
        outer, inner = f"pgp{os.getpid() % 100000}o", f"pgp{os.getpid() % 100000}i"
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        try:
            run(["ip", "netns", "add", self._name])
        except (AssertionError, OSError) as error:
            pytest.skip(f"no network namespace here: {error}")
        try:
            run(["ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self._name])
            run(["ip", "addr", "add", f"{self.here}/30", "dev", outer])
            run(["ip", "link", "set", outer, "up"])
            run(["ip", "-n", self._name, "addr", "add", f"{self.there}/30", "dev", inner])
            run(["ip", "-n", self._name, "link", "set", inner, "up"])
        except BaseException:
            self.close()
            raise

    def listener(self) -> socket.socket:
        """A socket that listens there, to be accepted from here."""
        made: list[socket.socket] = []

        def make() -> None:
            # Of this thread alone; a socket stays in the network that it was made in.
            namespace = os.open(f"/run/netns/{self._name}", os.O_RDONLY)
            if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) == 0:
                made.append(socket.create_server((self.there, 0)))
            os.close(namespace)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        assert made, "cannot enter the network namespace"
        return made[0]

    def vanish(self) -> None:
        """From now on nothing comes back, not even a reset."""
        run(["ip", "-n", self._name, "route", "add", "blackhole", f"{self.here}/32"])

    def return_(self) -> None:
        run(["ip", "-n", self._name, "route", "del", "blackhole", f"{self.here}/32"])

    def close(self) -> None:
        # Its end of the cable goes with it, and so does ours.
        subprocess.run(["ip", "netns", "del", self._name], check=False, timeout=20)

    def __enter__(self) -> Island:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Names:
    """A hosts file that only some processes see."""

    def __init__(self) -> None:
        self._file: Path = scratch_folder("names") / "hosts"
        self._file.write_text("")
        if subprocess.run([*self.prefix(), "true"], check=False, timeout=20, capture_output=True).returncode != 0:
            pytest.skip("no mount namespace here: it needs root")

    def prefix(self) -> list[str]:
        """Before a command that shall see it."""
        shell = f'mount --bind {self._file} /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "bash", "-c", shell, "bash"]

    def set(self, name: str, *addresses: str) -> None:
        # In place: another file would not be seen through the mount.
        with self._file.open("r+") as file:
            file.truncate()
            file.write("".join(f"{address} {name}\n" for address in addresses))
