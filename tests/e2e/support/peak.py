"""The most memory that a process had over a stretch of work."""

from __future__ import annotations

from .processes import Child


class Peak:
    """The growth of a process's resident memory, at its highest, over a stretch of work.

    Left out is the program's own text, which the kernel reads in as code runs for the first time.
    """

    def __init__(self, process: Child) -> None:
        self.process = process
        self.growth = 0

    def now(self) -> int:
        """Growth so far, at its highest; also known once the stretch is over, as `growth`."""
        high_water, files = self._figures()
        return (high_water - self._high_water) - (files - self._files)

    def _figures(self) -> tuple[int, int]:
        """The high-water mark of all, and what of it is mapped from files."""
        words = {}
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                name, _, value = line.partition(":")
                if name in ("VmHWM", "RssFile"):
                    words[name] = int(value.split()[0]) * 1024
        return words["VmHWM"], words["RssFile"]

    def __enter__(self) -> Peak:
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as reset:
            reset.write("5")
        self._high_water, self._files = self._figures()
        return self

    def __exit__(self, *_: object) -> None:
        self.growth = self.now()
