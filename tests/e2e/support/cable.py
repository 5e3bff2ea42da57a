"""A server behind a cable that can be pulled: its packets vanish without a word, as in a failed switch.

For root it is a network namespace of its own; for others a relay that is frozen, which at least answers nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from pathlib import Path

from . import tools
from .processes import Child, free_port, run, scratch_folder
from .waiting import wait_until

Endpoint = tuple[str, int]


class Cable:
    """Clients reach the Unix socket `upstream` at `endpoint`, as long as the cable is plugged in."""

    def __init__(self, upstream: Path) -> None:
        self._log = scratch_folder("cable") / "relay.log"
        self._namespace = f"pgprism-{os.getpid()}-{random.randrange(10_000)}" if os.geteuid() == 0 else None
        relay = [sys.executable, "-m", "support.cable"]
        folder = Path(__file__).resolve().parents[1]
        if self._namespace is None:
            self.kind = "frozen relay"
            self.endpoint: Endpoint = ("127.0.0.1", free_port())
            argv = [*relay, *map(str, self.endpoint), str(upstream)]
        else:
            self.kind = "network namespace"
            self._interface = f"pgp{random.randrange(100_000)}"
            self.endpoint = (self._lay(), 5432)
            argv = ["ip", "netns", "exec", self._namespace, *relay, *map(str, self.endpoint), str(upstream)]
        self._relay = Child(argv, self._log, cwd=folder)
        wait_until(lambda: b"ready" in self._log.read_bytes(), "the relay behind the cable listens")

    def _lay(self) -> str:
        """Makes the namespace and both ends of the cable, and returns the far end's address."""
        near, far = self._interface + "a", self._interface + "b"
        net = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"
        _ip("netns", "add", self._namespace)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self._namespace)
        for inside, name, address in ((False, near, f"{net}.1"), (True, far, f"{net}.2")):
            where = ["-n", self._namespace] if inside else []
            _ip(*where, "address", "add", f"{address}/30", "dev", name)
            _ip(*where, "link", "set", name, "up")
        # Known for good: a pulled cable is to be silence, not "host unreachable".
        macs = {
            near: Path(f"/sys/class/net/{near}/address").read_text().strip(),
            far: run(["ip", "-n", self._namespace, "-o", "link", "show", far])
            .stdout.split("link/ether ")[1]
            .split()[0],
        }
        _ip("neighbour", "replace", f"{net}.2", "lladdr", macs[far], "dev", near, "nud", "permanent")
        _ip(
            "-n",
            self._namespace,
            "neighbour",
            "replace",
            f"{net}.1",
            "lladdr",
            macs[near],
            "dev",
            far,
            "nud",
            "permanent",
        )
        return f"{net}.2"

    def pull(self) -> None:
        if self._namespace is None:
            self._relay.send(signal.SIGSTOP)
        else:
            _ip("-n", self._namespace, "link", "set", self._interface + "b", "down")

    def plug_in(self) -> None:
        if self._namespace is None:
            self._relay.send(signal.SIGCONT)
        else:
            _ip("-n", self._namespace, "link", "set", self._interface + "b", "up")

    def close(self) -> None:
        self._relay.kill()
        if self._namespace is not None:
            run(["ip", "netns", "delete", self._namespace], check=False)
            # The near end goes with the far one, but not at once.
            run(["ip", "link", "delete", self._interface + "a"], check=False)

    def __enter__(self) -> Cable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ip(*words: str | None) -> None:
    run([tools.program("ip"), *(word for word in words if word is not None)])


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except OSError:
        sink.transport.abort()


async def _relay(host: str, port: int, upstream: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(upstream)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        for one in (writer, far_writer):
            with contextlib.suppress(OSError):
                one.close()

    server = await asyncio.start_server(serve, host, port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_relay(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
