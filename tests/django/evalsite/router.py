"""Laboratory results live in a database of their own."""

from __future__ import annotations

ARCHIVED = {"labresult", "labbatch"}


class Archive:
    def db_for_read(self, model, **hints) -> str | None:
        return "archive" if model._meta.model_name in ARCHIVED else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints) -> bool | None:
        if db == "archive":
            return model_name in ARCHIVED
        return model_name not in ARCHIVED
