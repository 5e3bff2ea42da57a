"""Law 1: what the client sent is what the upstream gets, and the other way round, byte for byte.

client -> relay `outside` -> pgprism -> relay `inside` -> PostgreSQL. The relays record; the recordings are compared
connection by connection. The one allowed difference is SSLRequest and GSSENCRequest, which the proxy answers itself.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from support import workloads
from support.postgres import Postgres
from support.processes import run, scratch_folder
from support.proxy import Pgprism
from support.relay import Negotiation, RecordingRelay, assert_same_bytes
from support.waiting import wait_until
from support.wire import PROTOCOL_3_2, SYNC, TERMINATE, RawClient, bind, execute, parse, query, startup


class Between:
    """The proxy between two recording relays."""

    def __init__(self, server: Postgres, start_pgprism, start_relay, **options: object) -> None:
        self.inside: RecordingRelay = start_relay(server.address.endpoint)
        self.proxy: Pgprism = start_pgprism(self.inside.address, **options)
        self.outside: RecordingRelay = start_relay(self.proxy.endpoint)


@pytest.fixture
def between(postgres, start_pgprism, start_relay) -> Between:
    return Between(postgres, start_pgprism, start_relay)


@pytest.mark.smoke
@pytest.mark.parametrize("major", [14, 18])
def test_all_drivers(servers, start_pgprism, start_relay, major):
    server = servers(major)
    between = Between(server, start_pgprism, start_relay)
    address = server.create_database("transparent")
    workloads.prepare_pgbench(address)
    for work in workloads.ALL.values():
        work(address.at(between.outside.address))
    # More connections than workloads: cancels, observers and notifications have their own.
    assert assert_same_bytes(between.outside, between.inside) > 2 * len(workloads.ALL)
    server.sql('DROP DATABASE "transparent" WITH (FORCE)')


@pytest.mark.smoke
def test_many_clients_at_once(between, database):
    address = database.at(between.outside.address)
    busy = [
        workloads.psycopg3_client_binding,
        workloads.psycopg3_server_binding,
        workloads.psycopg3_pipeline,
        workloads.copy,
        workloads.server_cursor,
        workloads.psycopg2_mixed,
    ]
    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(work, address) for work in busy * 4]:
            done.result(timeout=120)
    assert assert_same_bytes(between.outside, between.inside) >= 24


def test_large_values_both_ways(between, database):
    size = 20_000_000
    with psycopg.connect(database.at(between.outside.address).conninfo(), autocommit=True) as connection:
        row = connection.execute("SELECT length(%s), repeat('x', %s)", ["y" * size, size]).fetchone()
        assert row[0] == size and len(row[1]) == size
    assert_same_bytes(between.outside, between.inside)


@pytest.mark.smoke
def test_bytes_that_come_one_by_one(between, database):
    """Messages cut at every place, both in the startup and later."""
    sent = (
        startup("raw", database.database, application_name="one by one")
        + query("SELECT 1; SELECT 'two'")
        + parse("", "SELECT $1::text")
        + bind("", "", b"value")
        + execute("")
        + SYNC
        + TERMINATE
    )
    with RawClient(between.outside.address, log_in=False) as client:
        for byte in sent:
            client.send(bytes([byte]))
        tags = b"".join(message.tag for message in client.rest())
    assert tags.endswith(b"ZTDCTDCZ12DCZ"), tags
    assert_same_bytes(between.outside, between.inside)


@pytest.mark.smoke
def test_protocol_3_2_and_negotiation(between, database):
    """A minor version or option that the server does not know is answered by the server, not by us."""
    for version, parameters in ((PROTOCOL_3_2, {}), (196608 + 9999, {}), (196608, {"_pq_.unheard_of": "x"})):
        with RawClient(
            between.outside.address, user="raw", database=database.database, version=version, **parameters
        ) as client:
            assert client.rows("SELECT 1") == [[b"1"]]
            if version == PROTOCOL_3_2:
                assert len(client.key) == 32
    assert assert_same_bytes(between.outside, between.inside) == 3


@pytest.mark.smoke
def test_a_refused_login_reads_as_the_server_wrote_it(between, database):
    address = database.at(between.outside.address)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address.conninfo(password="wrong"))
    with pytest.raises(psycopg.OperationalError, match='database "nowhere" does not exist'):
        psycopg.connect(address.in_database("nowhere").conninfo())
    assert_same_bytes(between.outside, between.inside)


def test_tls_passed_through(start_pgprism, start_relay):
    """`tls = "pass-through"`: SSLRequest and the TLS session behind it go to the server untouched, cancels too."""
    folder = scratch_folder("certificate")
    run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
    )
    key_owner = (folder / "key.pem").read_text()
    with Postgres(18) as server:
        for name, text in (("server.key", key_owner), ("server.crt", (folder / "cert.pem").read_text())):
            target = server.data / name
            target.write_text(text)
            target.chmod(0o600)
            server.own(target)
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")
        between = Between(server, start_pgprism, start_relay, listener={"tls": "pass-through"})
        address = server.address.at(between.outside.address)
        wait_until(
            lambda: psycopg.connect(server.address.conninfo(sslmode="require")).close() is None,
            "the server speaks TLS",
            refused=(psycopg.OperationalError,),
        )
        for words in ({"sslmode": "require"}, {"sslmode": "require", "sslnegotiation": "direct"}):
            between.proxy.wait_no_sessions()
            with psycopg.connect(address.conninfo(**words), autocommit=True) as connection:
                assert connection.pgconn.ssl_in_use
                (session,) = between.proxy.connections()
                assert session["observed"] is False
                sleeping = threading.Timer(0.3, connection.cancel_safe)
                sleeping.start()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    connection.execute("SELECT pg_sleep(30)")
                sleeping.join()
        between.proxy.wait_no_sessions()
        between.proxy.expect.decode_errors = True  # a pass-through session is counted as unobserved
        assert_same_bytes(between.outside, between.inside, Negotiation.PASSED_ON)
