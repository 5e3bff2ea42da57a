"""What clients see of TLS: who is let in, how it is refused, and that sessions outlive a new certificate."""

from __future__ import annotations

import signal
import socket
import ssl
import struct
import subprocess

import psycopg
import pytest

from support import tools, workloads
from support.certificates import Pair
from support.processes import become
from support.tls_clients import Leg, Login
from support.tls_server import SSL_REQUEST, TlsPostgres, presented
from support.waiting import wait_until
from support.wire import Message, startup

ONE_OF_EACH = ("psql", "psycopg2", "psycopg3", "asyncpg", "jdbc")


@pytest.fixture(scope="module")
def server(tls_servers) -> TlsPostgres:
    return tls_servers(18)


def tls_upstream(server: TlsPostgres) -> str:
    return f"postgres://127.0.0.1:{server.port}?sslmode=require"


def context(alpn: str | None = "postgresql", pair: Pair | None = None) -> ssl.SSLContext:
    """A client that trusts anybody."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if alpn is not None:
        made.set_alpn_protocols([alpn])
    if pair is not None:
        made.load_cert_chain(pair.certificate, pair.key)
    return made


def messages(received: bytes) -> list[Message]:
    found = []
    while received:
        (length,) = struct.unpack("!i", received[1:5])
        found.append(Message(received[:1], received[5 : length + 1]))
        received = received[length + 1 :]
    return found


def everything(one: socket.socket) -> bytes:
    """What still comes, up to the end of the connection."""
    received = b""
    try:
        while more := one.recv(65536):
            received += more
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("name", workloads.ALL)
def test_all_that_clients_do_works_over_tls_on_both_legs(start_pgprism, server, certificates, name):
    """libpq and asyncpg take TLS by themselves where it is offered, and bind it: the certificate is the server's."""
    address = server.create_database(f"tls_{name}")
    if name.startswith("pgbench"):
        workloads.prepare_pgbench(address)
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener())
    workloads.ALL[name](address.at(proxy.endpoint))
    assert proxy.quiet().total("pgprism_queries_total") > 0
    server.sql(f'DROP DATABASE "tls_{name}" WITH (FORCE)')


@pytest.mark.smoke
def test_the_connection_list_and_the_server_agree_that_it_is_tls(start_pgprism, server, certificates):
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener("allow"))
    address = server.address.at(proxy.endpoint)
    for sslmode, encrypted in (("require", True), ("disable", False)):
        with psycopg.connect(address.conninfo(sslmode=sslmode), autocommit=True) as connection:
            assert connection.execute(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            ).fetchone() == (True,)
            (session,) = [c for c in proxy.connections() if c["state"] != "starting"]
            assert session["tls"] is encrypted
            assert session["observed"] is True
        proxy.wait_no_sessions()


@pytest.mark.smoke
def test_plaintext_is_refused_where_tls_is_required(start_pgprism, server, certificates, clients):
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener("require"))
    words = (
        'pgprism: this listener takes connections over TLS only (tls = "require"); connect with sslmode=require or'
        " stricter"
    )
    expected = {"psql": f"FATAL:  {words}", "asyncpg": f"28000 {words}", "jdbc": f"28000 FATAL: {words}"}
    for name in ("psql", "psycopg2", "psycopg3", "asyncpg"):
        login = Login(proxy.endpoint, "scram", Leg.PLAINTEXT)
        assert clients[name].log_in(login).error == expected.get(name, expected["psql"])
        assert clients[name].log_in(login.but(leg=Leg.DEFAULT)).client_tls is True


def test_libpqs_second_attempt_without_tls_is_refused_too(start_pgprism, server, certificates, clients):
    """`sslmode=prefer` would otherwise make of a failed channel binding a session in plaintext; `allow` permits it."""
    proxy = start_pgprism(tls_upstream(server), listener=certificates.proxy.listener("require"))
    for name in ("psql", "psycopg2", "psycopg3"):
        error = clients[name].log_in(Login(proxy.endpoint, leg=Leg.DEFAULT)).error
        assert error is not None
        first, second = error.splitlines()
        assert first == "FATAL:  SCRAM channel binding check failed"
        assert second.startswith("FATAL:  pgprism: this listener takes connections over TLS only")


def test_jdbc_is_refused_and_let_in_alike(start_pgprism, server, certificates, clients):
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener("require"))
    refused = clients["jdbc"].log_in(Login(proxy.endpoint, "scram", Leg.PLAINTEXT)).error
    assert refused is not None and refused.startswith("28000 FATAL: pgprism: this listener takes")
    assert clients["jdbc"].log_in(Login(proxy.endpoint, "scram", Leg.DEFAULT)).server_tls is True


def test_without_tls_clients_hear_so(start_pgprism, server, clients):
    """`tls = "off"`, the default: SSLRequest is answered `N`, direct TLS is no startup packet."""
    proxy = start_pgprism(tls_upstream(server))
    for name in ONE_OF_EACH:
        assert str(clients[name].log_in(Login(proxy.endpoint, leg=Leg.DEFAULT))) == "works"
    refused = {name: clients[name].log_in(Login(proxy.endpoint, leg=Leg.TLS)).error for name in ONE_OF_EACH}
    assert refused == {
        "psql": "server does not support SSL, but SSL was required",
        "psycopg2": "server does not support SSL, but SSL was required",
        "psycopg3": "server does not support SSL, but SSL was required",
        "asyncpg": f'PostgreSQL server at "127.0.0.1:{proxy.endpoint[1]}" rejected SSL upgrade',
        "jdbc": "08004 The server does not support SSL.",
    }
    for name in ("psycopg2", "psycopg3", "asyncpg"):
        assert clients[name].log_in(Login(proxy.endpoint, leg=Leg.DIRECT)).error is not None


@pytest.mark.parametrize("verify", ["off", "optional", "required"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_client_certificates(start_pgprism, server, certificates, clients, name, verify):
    """`off` asks for none; `optional` refuses a bad one; `required` also refuses none, whatever the client's leg."""
    client = clients[name]
    proxy = start_pgprism(
        tls_upstream(server),
        listener=certificates.server.listener(
            tls_client_ca=str(certificates.authority.certificate), tls_client_verify=verify
        ),
    )
    for leg in (Leg.TLS, Leg.DIRECT):
        if leg not in client.legs:
            continue
        outcomes = {
            shown: client.log_in(Login(proxy.endpoint, leg=leg, certificate=pair)).error or "works"
            for shown, pair in (
                ("none", None),
                ("good", certificates.client),
                ("stranger's", certificates.strangers_client),
            )
        }
        missing = MISSING_CERTIFICATE[name] if verify == "required" else "works"
        # JDBC keeps a certificate to itself that no authority of the listener's has signed.
        unknown = "works" if verify == "off" else UNKNOWN_AUTHORITY.get(name, missing)
        assert outcomes == {"none": missing, "good": "works", "stranger's": unknown}


# What each client makes of TLS's alerts certificate_required and unknown_ca.
MISSING_CERTIFICATE = {
    "psql": "SSL error: tlsv13 alert certificate required",
    "psycopg2": "SSL error: tlsv13 alert certificate required",
    "psycopg3": "SSL error: tlsv13 alert certificate required",
    "asyncpg": "08003 connection was closed in the middle of operation",
    "jdbc": "08001 The connection attempt failed.",
}
UNKNOWN_AUTHORITY = {
    "psql": "SSL error: tlsv1 alert unknown ca",
    "psycopg2": "SSL error: tlsv1 alert unknown ca",
    "psycopg3": "SSL error: tlsv1 alert unknown ca",
    "asyncpg": "08003 connection was closed in the middle of operation",
}


TOO_OLD = """\
SSL error: tlsv1 alert protocol version
This may indicate that the server does not support any SSL protocol version between TLSv1.2 and TLSv1.2."""


@pytest.mark.parametrize("leg", [Leg.TLS, Leg.DIRECT], ids=lambda leg: leg.name.lower())
def test_the_oldest_version_of_tls(start_pgprism, server, certificates, clients, leg):
    """1.2 is served unless `tls_min_version` says otherwise, channel binding and all."""
    for minimum, refused in (("1.2", False), ("1.3", True)):
        proxy = start_pgprism(
            tls_upstream(server), listener=certificates.server.listener(tls_min_version=minimum)
        )
        for name in ("psql", "psycopg2", "psycopg3"):
            if leg not in clients[name].legs:
                continue
            login = Login(proxy.endpoint, "scram", leg, "require", tls_max="TLSv1.2")
            found = clients[name].log_in(login)
            assert str(found) == (TOO_OLD if refused else "works"), name
            assert str(clients[name].log_in(login.but(tls_max="TLSv1.3"))) == "works"


def _direct_without_alpn(endpoint: tuple[str, int], alpn: str | None) -> str:
    """How direct TLS that does not say `postgresql` ends, in OpenSSL's words."""
    with socket.create_connection(endpoint, timeout=10) as one:
        try:
            with context(alpn).wrap_socket(one) as tls:
                tls.sendall(startup("scram", "postgres"))
                return "ended" if everything(tls) == b"" else "answered"
        except ssl.SSLError as error:
            return str(error)
        except ConnectionResetError:
            return "ended"


@pytest.mark.parametrize("alpn", [None, "http/1.1"], ids=["none", "http"])
def test_direct_tls_must_say_that_it_means_postgresql(start_pgprism, server, certificates, alpn):
    """Else a browser could be made to speak to a database. As PostgreSQL itself refuses it."""
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener("allow"))
    assert _direct_without_alpn(proxy.endpoint, alpn) == _direct_without_alpn(server.address.endpoint, alpn)
    proxy.wait_no_sessions()
    assert proxy.metrics().total("pgprism_connection_errors_total") == 1
    with socket.create_connection(proxy.endpoint, timeout=10) as one:
        one.sendall(SSL_REQUEST)
        assert one.recv(1) == b"S"
        with context(None).wrap_socket(one) as tls:  # asked for, TLS needs no ALPN
            tls.sendall(startup("trust", "postgres"))
            assert tls.recv(1) == b"R"


@pytest.mark.smoke
def test_bytes_behind_an_sslrequest_are_refused(start_pgprism, server, certificates):
    """They could be anybody's, and would be taken for the client's own words inside TLS (CVE-2021-3935)."""
    for tls in ("allow", "require", "off"):
        listener = certificates.server.listener(tls) if tls != "off" else {}
        proxy = start_pgprism(tls_upstream(server), listener=listener)
        with socket.create_connection(proxy.endpoint, timeout=10) as one:
            one.sendall(SSL_REQUEST + startup("trust", "postgres"))
            received = everything(one)
            refusal = messages(received.removeprefix(b"S").removeprefix(b"N"))[0].fields()
            assert (refusal["S"], refusal["C"]) == ("FATAL", "08P01")
            assert refusal["M"] == "pgprism: received unencrypted data after SSLRequest"
        proxy.wait_no_sessions()


def test_a_second_sslrequest_inside_tls_is_refused(start_pgprism, server, certificates):
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener())
    with socket.create_connection(proxy.endpoint, timeout=10) as one:
        one.sendall(SSL_REQUEST)
        assert one.recv(1) == b"S"
        with context().wrap_socket(one) as tls:
            tls.sendall(SSL_REQUEST)
            received = everything(tls)
    assert received[:1] != b"S", received
    proxy.wait_no_sessions()


def _sleeping(server: TlsPostgres, name: str) -> bool:
    running = f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{name}%' AND wait_event = 'PgSleep'"
    return server.sql(running) == "1"


@pytest.mark.parametrize("tls", ["allow", "require"])
def test_control_c_in_psql_reaches_the_server(start_pgprism, server, certificates, tls):
    """libpq 15 sends its CancelRequest in plaintext, whatever its session is: that is served, as PostgreSQL does."""
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener(tls))
    login = Login(proxy.endpoint, leg=Leg.TLS)
    words = " ".join(f"{key}='{value}'" for key, value in login.conninfo().items())
    with subprocess.Popen(
        [tools.program("psql"), "-XAtq", words, "-c", f"SELECT pg_sleep(60) AS control_c_{tls}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: become(None),
    ) as psql:
        wait_until(lambda: _sleeping(server, f"control_c_{tls}"), "psql's query runs")
        psql.send_signal(signal.SIGINT)
        _, errors = psql.communicate(timeout=20)
    assert "ERROR:  canceling statement due to user request" in errors


@pytest.mark.smoke
def test_a_cancel_inside_tls_reaches_the_server_inside_tls(start_pgprism, start_relay, server, certificates):
    """libpq 18 cancels as it connected; the proxy does so upstream. Relays on both sides see no key pass."""
    inside = start_relay(server.address.endpoint)
    proxy = start_pgprism(
        f"postgres://127.0.0.1:{inside.port}?sslmode=require", listener=certificates.server.listener()
    )
    outside = start_relay(proxy.endpoint)
    address = server.address.at(outside.address)
    with psycopg.connect(address.conninfo(sslmode="require"), autocommit=True) as connection:
        watcher = workloads.cancel_when_active(server.address, connection.info.backend_pid, connection.cancel_safe)
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        watcher.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        pid = struct.pack("!i", connection.info.backend_pid)
    for relay in (outside, inside):
        session, request = relay.wait_ended()[:2]
        for recording in (session, request):
            assert recording.client_bytes().startswith(SSL_REQUEST)
            assert recording.upstream_bytes()[:1] == b"S"
            assert pid not in recording.client_bytes()


def test_a_new_certificate_by_sighup_leaves_sessions_alone(start_pgprism, server, certificates):
    proxy = start_pgprism(tls_upstream(server), listener=certificates.server.listener())
    address = server.address.at(proxy.endpoint)
    assert presented(proxy.endpoint) == certificates.server.der()
    with psycopg.connect(address.conninfo(sslmode="require"), autocommit=True) as before:
        pid = before.info.backend_pid
        proxy.listeners[0].options = certificates.renewed.listener()
        proxy.write_config()
        proxy.reload()
        wait_until(lambda: presented(proxy.endpoint) == certificates.renewed.der(), "the new certificate is shown")
        assert before.execute("SELECT pg_backend_pid()").fetchone() == (pid,)
        words = address.conninfo(sslmode="verify-full", sslrootcert=str(certificates.authority.certificate),
                                 channel_binding="disable")
        with psycopg.connect(words) as after:
            assert after.execute("SELECT 1").fetchone() == (1,)


def test_the_same_file_with_a_new_content_counts_after_sighup(start_pgprism, server, certificates, tmp_path):
    """As certbot renews."""
    mine = Pair(tmp_path / "proxy.pem", tmp_path / "proxy.key")
    _copy(certificates.proxy, mine)
    proxy = start_pgprism(f"postgres://127.0.0.1:{server.port}?sslmode=disable", listener=mine.listener())
    assert presented(proxy.endpoint) == certificates.proxy.der()
    _copy(certificates.renewed, mine)
    proxy.reload()
    wait_until(lambda: presented(proxy.endpoint) == certificates.renewed.der(), "the new certificate is shown")


@pytest.mark.parametrize("broken", ["no PEM", "missing file", "another key"])
def test_a_bad_certificate_on_reload_keeps_the_old(start_pgprism, server, certificates, tmp_path, broken):
    mine = Pair(tmp_path / "proxy.pem", tmp_path / "proxy.key")
    _copy(certificates.proxy, mine)
    proxy = start_pgprism(f"postgres://127.0.0.1:{server.port}?sslmode=disable", listener=mine.listener())
    address = server.address.at(proxy.endpoint)
    with psycopg.connect(address.conninfo(sslmode="require"), autocommit=True) as session:
        match broken:
            case "no PEM":
                mine.certificate.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
            case "missing file":
                mine.certificate.unlink()
            case "another key":
                mine.key.write_bytes(certificates.renewed.key.read_bytes())
        proxy.reload()
        proxy.wait_logged(str(mine.key if broken == "another key" else mine.certificate))
        assert presented(proxy.endpoint) == certificates.proxy.der()
        assert session.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(address.conninfo(sslmode="require")) as after:
        assert after.execute("SELECT 1").fetchone() == (1,)


def _copy(source: Pair, target: Pair) -> None:
    target.certificate.write_bytes(source.certificate.read_bytes())
    target.key.write_bytes(source.key.read_bytes())


WILL_FAIL = "SCRAM channel binding check failed"
THREE_WAYS_OUT = ("tls_certificate", "channel_binding=disable", "sslmode=disable")


@pytest.mark.smoke
def test_one_line_says_what_will_fail_and_three_ways_out(start_pgprism, server, certificates):
    """At the start, since the upstream can be asked; and once only."""
    proxy = start_pgprism(tls_upstream(server), listener=certificates.proxy.listener())
    proxy.wait_logged(WILL_FAIL)
    address = server.address.at(proxy.endpoint)
    for _ in range(3):
        with psycopg.connect(address.conninfo(sslmode="require", channel_binding="disable")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    (line,) = [line for line in proxy.log_text().splitlines() if WILL_FAIL in line]
    for way_out in THREE_WAYS_OUT:
        assert way_out in line
    assert '"channel_binding": "disable"' in line, "Django's OPTIONS"


def test_nothing_is_said_where_nothing_will_fail(start_pgprism, server, certificates):
    in_plaintext = f"postgres://127.0.0.1:{server.port}?sslmode=disable"
    for upstream, listener in (
        (tls_upstream(server), certificates.server.listener()),
        (tls_upstream(server), {}),
        (in_plaintext, certificates.proxy.listener()),
    ):
        proxy = start_pgprism(upstream, listener=listener)
        with psycopg.connect(server.address.at(proxy.endpoint).conninfo()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        proxy.wait_no_sessions()
        assert WILL_FAIL not in proxy.log_text()
