"""Each block of commands of the documentation, word for word, in order, as a reader types it."""

from __future__ import annotations

import re
import subprocess
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


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_commands(world: World, block: Block) -> None:
    scene = Scene(world, block, block.place)
    started: list[tuple[Start, subprocess.Popen[bytes], Path]] = []
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
            else:
                started.append((step, _start(scene, step, line, cwd, log), log))
        for step, _, _ in started:
            for need in step.afterwards:
                scene.have(need)
        for step, process, log in reversed(started):
            status = end(process, step.ended_by)
            text = log.read_text(errors="replace")
            assert status in step.statuses, f"{process.args!r} ended with {status}\n{text[-4000:]}"
            assert re.search(step.says, text), f"{process.args!r} does not say {step.says!r}\n{text[-4000:]}"
            assert "panicked" not in text and "Traceback" not in text, text[-4000:]
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
