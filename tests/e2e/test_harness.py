"""The parts that prove the product, proved themselves: the same workloads without the proxy in between."""

from __future__ import annotations

import pytest

from support import workloads
from support.relay import RecordingRelay, assert_same_bytes
from support.wire import RawClient


@pytest.mark.smoke
def test_two_relays_in_a_row_record_the_same_bytes(postgres, database):
    with RecordingRelay(postgres.address.endpoint) as inside, RecordingRelay(inside.address) as outside:
        workloads.psycopg3_server_binding(database.at(outside.address))
        workloads.listen_notify(database.at(outside.address))
        assert assert_same_bytes(outside, inside) == 3


@pytest.mark.smoke
def test_a_relay_that_loses_a_byte_is_found_out(postgres, database):
    with RecordingRelay(postgres.address.endpoint) as inside, RecordingRelay(inside.address) as outside:
        workloads.listen_notify(database.at(outside.address))
        outside.wait_ended()
        recording = inside.wait_ended()[0]
        recording.client_file.write_bytes(recording.client_bytes()[:-1])
        with pytest.raises(AssertionError, match="have no equal"):
            assert_same_bytes(outside, inside)


@pytest.mark.parametrize("major", [14, 15, 16, 17, 18])
@pytest.mark.parametrize("name", workloads.ALL)
def test_workload_direct(servers, major, name):
    server = servers(major)
    address = server.create_database(f"direct_{name}")
    if name.startswith("pgbench"):
        workloads.prepare_pgbench(address)
    workloads.ALL[name](address)
    server.sql(f'DROP DATABASE "direct_{name}" WITH (FORCE)')


@pytest.mark.smoke
def test_the_raw_client_speaks_to_a_real_server(postgres):
    with RawClient(postgres.address.endpoint) as client:
        assert client.rows("SELECT 1, NULL, 'x'") == [[b"1", None, b"x"]]
        assert client.parameters["client_encoding"] == "UTF8"
        assert client.pid > 0
