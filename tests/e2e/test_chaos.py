"""Two faults with a ledger, of the dozen that `make chaos` plays with the other proxies beside ours."""

from __future__ import annotations

import pytest

from chaos.__main__ import play
from chaos.scenarios import SCENARIOS
from chaos.stage import SERVER_SETTINGS
from support.postgres import Postgres

SMOKE = ("server killed -9, started again", "proxy killed -9, started again, 3 times")


@pytest.fixture(scope="module")
def server():
    with Postgres(18, **SERVER_SETTINGS) as one:
        yield one


@pytest.mark.smoke
@pytest.mark.parametrize("name", SMOKE)
def test_nothing_is_lost_doubled_or_crossed(server: Postgres, name: str):
    scenario = next(one for one in SCENARIOS if one.name == name)
    result = play(scenario, server, "pgprism")
    print(" | ".join(result.cells()))
    assert result.is_clean, result
