"""System checks: what each says, and that a project without the mistake hears nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings
from django_pgprism.middleware import PgprismMiddleware

# The checks read the settings and open no connection, so that this override is harmless.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")

OURS = "django_pgprism.middleware.PgprismMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
GOOD: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "nowhere",
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {"application_name": "web"},
}


class Derived(PgprismMiddleware):
    """A project's own, with something added."""


def database(**changes: Any) -> dict[str, Any]:
    return {"default": copy.deepcopy(GOOD) | changes}


def found(*, deploy: bool = True, **settings: Any) -> list[CheckMessage]:
    with override_settings(**({"DATABASES": database(), "MIDDLEWARE": [OURS]} | settings)):
        return run_checks(tags=["pgprism"], include_deployment_checks=deploy)


def ids(**settings: Any) -> list[str]:
    messages = found(**settings)
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGAPPNAME", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


def test_a_project_that_is_well_set_up_hears_nothing() -> None:
    assert ids() == []
    assert ids(MIDDLEWARE=["django.middleware.security.SecurityMiddleware", OURS, SESSION]) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["CALLSITE"], ["pgprism.E001"]),
        ({"CALSITE": True}, ["pgprism.E002"]),
        ({"CALLSITE": "no"}, ["pgprism.E003"]),
        ({"CALLSITE": True}, []),
        ({}, []),
    ],
)
def test_the_setting(given: object, expected: list[str]) -> None:
    assert ids(PGPRISM=given) == expected


def test_the_middleware_is_missing() -> None:
    assert ids(MIDDLEWARE=[SESSION]) == ["pgprism.W001"]


def test_the_middleware_stands_below_one_that_queries() -> None:
    (message,) = found(MIDDLEWARE=[SESSION, OURS])
    assert message.id == "pgprism.W002"
    assert SESSION in message.msg


def test_a_class_derived_from_it_is_the_middleware() -> None:
    assert ids(MIDDLEWARE=["test_checks.Derived"]) == []


@pytest.mark.parametrize(
    "options",
    [{"application_name": "web"}, {"options": "-c application_name=web"}, {"service": "shop"}],
)
def test_an_application_name_in_any_place(options: dict[str, Any]) -> None:
    assert ids(DATABASES=database(OPTIONS=options)) == []
    assert ids(DATABASES=database(OPTIONS={})) == ["pgprism.W003"]


def test_an_application_name_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGAPPNAME", "web")
    assert ids(DATABASES=database(OPTIONS={})) == []


def test_comments_and_prepared_statements() -> None:
    prepared = {"application_name": "web", "server_side_binding": True, "prepare_threshold": 5}
    assert ids(DATABASES=database(OPTIONS=prepared)) == ["pgprism.W004"]
    # With values in the text nothing is prepared, whatever the threshold; and so without one.
    assert ids(DATABASES=database(OPTIONS=prepared | {"server_side_binding": False})) == []
    assert ids(DATABASES=database(OPTIONS=prepared | {"prepare_threshold": None})) == []


def test_the_lifetime_of_connections() -> None:
    assert ids(DATABASES=database(CONN_HEALTH_CHECKS=False)) == ["pgprism.W005"]
    assert ids(DATABASES=database(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=False)) == ["pgprism.W005"]
    assert ids(DATABASES=database(CONN_MAX_AGE=0)) == ["pgprism.I001"]
    assert ids(DATABASES=database(CONN_MAX_AGE=0), deploy=False) == []
    pooled = {"application_name": "web", "pool": True}
    assert ids(DATABASES=database(CONN_MAX_AGE=0, OPTIONS=pooled)) == []


def test_other_databases_are_none_of_its_business() -> None:
    assert ids(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}) == []


def test_each_can_be_silenced() -> None:
    messages = found(MIDDLEWARE=[SESSION], SILENCED_SYSTEM_CHECKS=["pgprism.W001"])
    with override_settings(SILENCED_SYSTEM_CHECKS=["pgprism.W001"]):
        assert all(message.is_silenced() for message in messages)

