"""The command line, each time in a process of its own, as people run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def run(
    *arguments: str, settings: str | None = None, folder: Path = TESTS, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    if settings:
        clean["DJANGO_SETTINGS_MODULE"] = settings
    clean["PYTHONPATH"] = str(TESTS.parent / "src")
    return subprocess.run(
        [sys.executable, "-m", "django_pgprism", *arguments],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings_file(folder: Path, text: str) -> None:
    (folder / "own_settings.py").write_text(text)


def test_it_writes_the_map_with_the_settings_of_the_environment_or_the_flag() -> None:
    by_environment = run("models", settings="project.settings")
    by_flag = run("models", "--settings", "project.settings", settings="no.such.module")
    assert (by_environment.returncode, by_environment.stderr) == (0, "")
    assert by_flag.stdout == by_environment.stdout
    found = json.loads(by_flag.stdout)
    assert found["version"] == 1
    assert any(model["label"] == "shop.OrderItem" for model in found["models"])


def test_what_the_project_prints_does_not_get_into_the_file(tmp_path: Path) -> None:
    settings_file(tmp_path, "print('loading')\nSECRET_KEY = 'x'\n")
    done = run("models", "--settings", "own_settings", folder=tmp_path)
    assert json.loads(done.stdout)["models"] == []
    assert (done.returncode, done.stderr) == (0, "loading\n")


def test_a_project_without_contenttypes(tmp_path: Path) -> None:
    app = tmp_path / "small"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "models.py").write_text(
        "from django.db import models\nclass A(models.Model):\n    b = models.ForeignKey('self', models.CASCADE)\n"
    )
    settings_file(
        tmp_path,
        "INSTALLED_APPS = ['small']\nDEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'\nSECRET_KEY = 'x'\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql'}}\n",
    )
    done = run("models", "--settings", "own_settings", folder=tmp_path)
    assert done.stderr == ""
    assert [model["label"] for model in json.loads(done.stdout)["models"]] == ["small.A"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("models",), 64, "no settings: set DJANGO_SETTINGS_MODULE or give --settings"),
        (("models", "--settings", "no.such"), 65, "cannot load the models of no.such: ModuleNotFoundError"),
        (("modles",), 64, "invalid choice: 'modles'"),
        ((), 64, "the following arguments are required: COMMAND"),
    ],
)
def test_errors_say_what_to_do(arguments: tuple[str, ...], status: int, words: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_project_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    settings_file(tmp_path, "raise RuntimeError('no DATABASE_URL')")
    done = run("models", "--settings", "own_settings", folder=tmp_path)
    assert (done.returncode, done.stdout) == (65, "")
    assert "cannot load the models of own_settings: RuntimeError: no DATABASE_URL" in done.stderr
    assert "Traceback" in run("models", "--settings", "own_settings", "--traceback", folder=tmp_path).stderr
