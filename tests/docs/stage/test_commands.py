"""Each block of commands of the documentation, word for word, in order, as a reader types it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pages import Block, shell_blocks
from plan import PLAN, Explained, Run, Start
from support.waiting import wait_until
from world import Scene, World, _status, end

ENDS_WITHIN_S = 120
STARTS_WITHIN_S = 60

BLOCKS = [
    block
    for block in shell_blocks()
    if not all(isinstance(PLAN.get(command), Explained) for command in block.commands())
]


@dataclass(frozen=True)
class Started:
    """What runs in the background of its block."""

    step: Start
    process: subprocess.Popen[bytes]
    log: Path

    def finish(self, scene: Scene) -> None:
        for need in self.step.afterwards:
            scene.have(need)
        status = end(self.process, self.step.ended_by)
        text = self.log.read_text(errors="replace")
        assert status in self.step.statuses, f"{self.process.args!r} ended with {status}\n{text[-4000:]}"
        assert re.search(self.step.says, text), f"{self.process.args!r} does not say {self.step.says!r}\n{text[-4000:]}"
        assert "panicked" not in text and "Traceback" not in text, text[-4000:]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_commands(world: World, block: Block) -> None:
    scene = Scene(world, block, block.place)
    started: list[Started] = []
    before: list[str] = []
    try:
        for number, command in enumerate(block.commands()):
            step = PLAN[command]
            if isinstance(step, Explained):
                # Where it goes counts for what follows.
                before += re.findall(r"^cd \S+", command)
                continue
            for need in step.needs:
                scene.have(need)
            scene.environment.update(step.env)
            log = scene.project / f"command-{number}.log"
            line = " && ".join([*before, command])
            cwd = scene.project if any(one.startswith("cd ") for one in before) else scene.project / step.cwd
            if isinstance(step, Run):
                _run(scene, step, line, cwd, log)
                before += [command] if command.startswith(("export ", "cd ")) else []
                continue
            running = Started(step, _start(scene, step, line, cwd, log), log)
            if step.alone:
                running.finish(scene)
            else:
                started.append(running)
        for running in reversed(started):
            running.finish(scene)
    finally:
        scene.close()


def _run(scene: Scene, step: Run, line: str, cwd: Path, log: Path) -> None:
    process = scene.spawn(line, log, cwd)
    try:
        status = process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{line} did not end within {ENDS_WITHIN_S} s\n{log.read_text()[-4000:]}") from None
    text = log.read_text(errors="replace")
    assert status == step.status, f"{line} ended with {status}\n{text[-4000:]}"
    assert re.search(step.says, text), f"{line} does not say {step.says!r}\n{text[-4000:]}"
    if step.shown:
        assert scene.block is not None and text.strip() in scene.block.text, (
            f"the page shows another answer than\n{text}"
        )
    if step.leaves:
        left = cwd / step.leaves
        assert left.is_file() and left.stat().st_size > 0, f"{line} left no {step.leaves}\n{text[-2000:]}"
        if step.leaves == "models.json" and left.parent != scene.project:
            # The next command of the page reads it where it was written.
            (scene.project / "models.json").write_bytes(left.read_bytes())
    for need in step.afterwards:
        scene.have(need)


def _start(scene: Scene, step: Start, line: str, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    assert step.url is None or _status(step.url) == 0, f"{step.url} answers before {line} is started"
    process = scene.spawn(line, log, cwd, terminal=step.terminal)

    def there() -> bool:
        text = log.read_text(errors="replace")
        if process.poll() is not None:
            raise RuntimeError(f"{line} ended with {process.returncode}\n{text[-4000:]}")
        if step.url is None:
            # Something has to happen for it to be told.
            scene.traffic()
            return bool(re.search(step.until, log.read_text(errors="replace")))
        return _status(step.url) == 200

    try:
        wait_until(there, f"{line} is there", deadline_s=STARTS_WITHIN_S, every_s=0.1)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{log.read_text(errors='replace')[-4000:]}") from None
    return process
