"""``python -m django_pgprism models > models.json``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import traceback
from collections.abc import Sequence

from django_pgprism import __version__

# As sysexits.h has it, and pgprism itself: bad usage, and data that cannot be used.
EXIT_USAGE = 64
EXIT_DATA = 65


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is what it returns."""
    options = _parser().parse_args(arguments)
    if options.settings:
        os.environ["DJANGO_SETTINGS_MODULE"] = options.settings
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return _fail(
            EXIT_USAGE,
            "no settings: set DJANGO_SETTINGS_MODULE or give --settings, for example --settings shop.settings",
        )
    # `python -m` puts the current folder there, a console script would not; manage.py's folder is what is meant.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        # What a settings module or an application prints belongs to people, not into the JSON.
        with contextlib.redirect_stdout(sys.stderr):
            import django

            django.setup()
            from django_pgprism.modelmap import model_map

            found = model_map()
    except Exception as error:  # whatever the project's own code raises while it is imported
        if options.traceback:
            traceback.print_exc()
        return _fail(
            EXIT_DATA,
            f"cannot load the models of {os.environ['DJANGO_SETTINGS_MODULE']}: {type(error).__name__}: {error}",
            "run it where manage.py runs, with the same environment; --traceback shows where it failed",
        )
    json.dump(found, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        sys.exit(_fail(EXIT_USAGE, message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m django_pgprism",
        description="Tells pgprism the names of a Django project's models and relations.",
    )
    parser.add_argument("--version", action="version", version=f"django_pgprism {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    models = commands.add_parser(
        "models",
        help="write the map of all installed models to standard output",
        description="Writes the map of all installed models to standard output, as JSON.",
        epilog="example: python -m django_pgprism models --settings shop.settings > models.json",
    )
    models.add_argument(
        "--settings", metavar="MODULE", help="the settings module; else DJANGO_SETTINGS_MODULE says it"
    )
    models.add_argument("--traceback", action="store_true", help="show where the project failed to load")
    return parser


def _fail(status: int, *lines: str) -> int:
    for line in lines:
        print(f"django_pgprism: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
