"""The parts that prove the product, proved themselves: the same workloads without the proxy in between."""

from __future__ import annotations

import random
import struct

import pytest
from hostile.case import Likeness, case, unlike
from soak import fit

from support import workloads
from support.relay import RecordingRelay, assert_same_bytes
from support.wire import AUTHENTICATION_OK, READY_IDLE, RawClient, message


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


@pytest.mark.smoke
def test_answers_are_alike_but_for_their_keys():
    def login(key: bytes, name: bytes = b"a") -> bytes:
        status = message(b"S", name + b"\0b\0")
        return b"N" + AUTHENTICATION_OK + status + message(b"K", struct.pack("!i", 7) + key) + READY_IDLE

    exact = case("exact")
    assert unlike(exact, login(b"\1\2\3\4"), login(b"\4\3\2\1")) is None
    assert unlike(exact, login(b"\1" * 32), login(b"\2" * 32)) is None
    for other in (login(b"\1\2\3\4", b"c"), login(b"\1" * 32), login(b"\1\2\3\4")[:-1]):
        assert unlike(exact, login(b"\1\2\3\4"), other)
    state = case("state", likeness=Likeness.SQLSTATE)
    assert unlike(state, b"E\0C42601\0", b"E\0C42601\0Mother\0") is None
    assert unlike(state, b"E\0C42601\0", b"E\0C42602\0")


@pytest.mark.smoke
def test_a_slope_is_found_with_its_uncertainty():
    noise = random.Random(3)
    for mb_an_hour in (0.0, 5.0):
        samples = [
            (at / 2, 10e6 + mb_an_hour * 1e6 / 3600 * at / 2 + noise.gauss(0, 30_000)) for at in range(1200)
        ]
        line = fit(samples)
        assert abs(line.mb_an_hour - mb_an_hour) < 3 * line.error_mb < 0.5, line
    with pytest.raises(ValueError, match="too few"):
        fit([(0.0, 1.0), (1.0, 1.0)])


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
