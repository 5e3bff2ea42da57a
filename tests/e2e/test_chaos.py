"""Two faults with a ledger, of the dozen that `make chaos` plays with the other proxies beside ours."""

from __future__ import annotations

import pytest

from chaos.__main__ import play
from chaos.ledger import Clients, Entry, Fate, Ledger, balance
from chaos.scenarios import SCENARIOS
from chaos.stage import SERVER_SETTINGS, USER
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


@pytest.mark.smoke
def test_the_ledger_sees_what_is_lost_doubled_crossed_or_torn(server: Postgres):
    """Clients straight at the server, whose table is then tampered with: each kind of damage is found."""
    ledger = Ledger("ledger_tampered")
    server.sql("CREATE TABLE ledger_tampered (id bigint, token text)")
    address = server.address.as_user(USER)
    with Clients(ledger, address, count=2) as clients:
        clients.wait_commits(12)
    assert balance(ledger, address).is_clean
    whole, torn, doubled, foreign = [
        one.ids for one in ledger.entries if one.fate is Fate.COMMITTED
    ][:4]
    undone = Entry([10**6])
    ledger.entries.append(undone)
    server.sql(
        f"DELETE FROM ledger_tampered WHERE id IN ({whole[0]}, {whole[1]}, {whole[2]}, {torn[1]});"
        f"INSERT INTO ledger_tampered SELECT * FROM ledger_tampered WHERE id = {doubled[0]};"
        f"UPDATE ledger_tampered SET token = 'somebody else''s' WHERE id = {foreign[2]};"
        f"INSERT INTO ledger_tampered VALUES ({undone.ids[0]}, '{ledger.token(undone.ids[0])}'), (-1, 'nobody''s')"
    )
    found = balance(ledger, address)
    assert (found.lost, found.torn, found.duplicated, found.crossed, found.undone_but_there) == (2, 1, 1, 3, 1)
    assert not found.is_clean
