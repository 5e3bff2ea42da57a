"""Makes the tables of both databases and fills them. Run with the variables of the project's settings."""

from __future__ import annotations

import importlib

import django


def main() -> None:
    django.setup()
    from django.core.management import call_command
    from django.conf import settings

    for alias in ("default", "archive"):
        # Django's own tables first: ours, which have no migrations, refer to them.
        call_command("migrate", database=alias, verbosity=0)
        call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
    importlib.import_module(settings.EVALUATION_DATA).fill()
    # The content types and permissions that the data's own ids left to be made.
    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    main()
