"""Each block of settings with DATABASES leads Django through the proxy to PostgreSQL, with either driver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pages import Block, all_pages, blocks
from support.processes import run
from support.waiting import wait_until
from world import THROUGH, Scene, World, _body

BLOCKS = [
    block for page in all_pages() for block in blocks(page) if block.language == "python" and "DATABASES = {" in block.text
]  # fmt: skip


def _drivers(block: Block) -> list[str]:
    """psycopg2 knows neither a pool nor a binding of its own."""
    only_psycopg = "pool" in block.text or "server_side_binding" in block.text
    return ["psycopg"] if only_psycopg else ["psycopg", "psycopg2"]


def _queries() -> int:
    return int(json.loads(_body("http://127.0.0.1:9433/api/v1/summary"))["queries"])


@pytest.mark.parametrize(
    ("block", "driver"),
    [(block, driver) for block in BLOCKS for driver in _drivers(block)],
    ids=lambda value: value if isinstance(value, str) else value.place,
)
def test_settings_connect(world: World, block: Block, driver: str) -> None:
    scene = Scene(world, block, f"settings-{block.place}-{driver}")
    try:
        if "DISABLE_SERVER_SIDE_CURSORS" in block.text:
            scene.have("pgbouncer")
            scene.serve("--upstream postgres://127.0.0.1:6432")
        elif "sslrootcert" in block.text:
            _serve_tls(scene)
        else:
            # The file with two listeners serves one alias as well as two.
            scene.have("two_databases")
            scene.serve("--config databases.toml")
        settings = scene.project / "settings_of_the_page.py"
        settings.write_text(_complete(block.text))
        before = _queries()
        done = run(
            [world.bin / "python", Path(__file__).with_name("connect.py"), settings, driver],
            env=scene.environment | {"DATABASE_URL": THROUGH},
        )
        asked = int(done.stdout)
        assert asked == (2 if "replica" in block.text else 1)
        wait_until(lambda: _queries() >= before + asked, "the proxy has seen the queries", deadline_s=10)
    finally:
        scene.close()


def _complete(text: str) -> str:
    """A block that leaves out what other blocks of the pages have says so by `# …`."""
    return text.replace("# …", '"NAME": "shop", "USER": "shop", "PASSWORD": "secret",')


def _serve_tls(scene: Scene) -> None:
    """docs/tls.md: a listener for pgprism.internal whose certificate the client trusts by its own file."""
    certificate = Path("/etc/ssl/pgprism.crt")
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=pgprism.internal", "-days", "2",
         "-addext", "subjectAltName=DNS:pgprism.internal", "-keyout", "/etc/ssl/pgprism.key", "-out", certificate])  # fmt: skip
    flags = f"--tls require --tls-certificate {certificate} --tls-key /etc/ssl/pgprism.key"
    scene.serve(f"--upstream postgres://127.0.0.1:5432 {flags}")


def test_behind_pgbouncer_shapes_are_right_and_no_loop_is_proved(world: World) -> None:
    """docs/quickstart.md: the other order, Django to PgBouncer to pgprism."""
    scene = Scene(world, None, "behind-pgbouncer")
    try:
        scene.serve()
        scene.pgbouncer(6433)
        # Without tags, as the page says it of.
        scene.environment["PYTHONPATH"] = ""
        scene.visit("postgres://shop:secret@127.0.0.1:6432/shop")

        def judged() -> bool:
            return json.loads(_body("http://127.0.0.1:9433/api/v1/summary"))["units_open"] == 0

        wait_until(judged, "the visits are judged", deadline_s=30)
        found = json.loads(_body("http://127.0.0.1:9433/api/v1/findings"))["items"]
        loops = {one["child_table"]: one["confidence"] for one in found}
        assert {"shop_publisher", "shop_author"} <= loops.keys(), loops
        assert "proved" not in loops.values(), loops
    finally:
        scene.close()
