"""TLS on both legs with a real server and real drivers: what is carried, and what is said about channel binding."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from support import workloads
from support.postgres import Postgres
from support.processes import run, scratch_folder
from support.waiting import wait_until

pytestmark = pytest.mark.smoke


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


def make_certificate(folder: Path, name: str) -> Certificate:
    """Signed by itself, marked as a CA: what `openssl req -x509` makes, and what many a server has."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", made.key, "-out", made.certificate],
    )
    made.key.chmod(0o600)
    return made


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = scratch_folder("certificates")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Postgres]:
    """PostgreSQL 16 with TLS and SCRAM."""
    theirs = make_certificate(folder, "server")
    with Postgres(16) as server:
        for source, name in ((theirs.certificate, "server.crt"), (theirs.key, "server.key")):
            target = server.data / name
            shutil.copy(source, target)
            target.chmod(0o600)
            server.own(target)
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")
        wait_until(
            lambda: psycopg.connect(server.address.conninfo(sslmode="require")).close() is None,
            "the server speaks TLS",
            refused=(psycopg.OperationalError,),
        )
        yield server


def listener(one: Certificate, mode: str = "require") -> dict[str, str]:
    return {"tls": mode, "tls_certificate": str(one.certificate), "tls_key": str(one.key)}


def upstream(server: Postgres, **parameters: object) -> str:
    query = "&".join(f"{key}={value}" for key, value in parameters.items())
    return f"postgres://localhost:{server.port}?{query}"


def ssl_of_backend(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row is not None
    return row[0]


def test_a_plaintext_client_logs_in_by_scram_to_a_server_with_tls(start_pgprism, server):
    proxy = start_pgprism(upstream(server, sslmode="require"))
    address = server.address.at(proxy.endpoint)
    for binding in ("prefer", "disable"):
        with psycopg.connect(address.conninfo(channel_binding=binding), autocommit=True) as connection:
            assert ssl_of_backend(connection)
            assert not connection.pgconn.ssl_in_use
            (session,) = [c for c in proxy.connections() if c["state"] != "starting"]
            assert session["tls"] is False and session["observed"] is True
    workloads.psycopg3_server_binding(address)
    workloads.cancel(address)


def test_tls_on_both_legs_with_the_servers_own_certificate(start_pgprism, server, folder):
    own = Certificate(folder / "server.crt", folder / "server.key")
    url = upstream(server, sslmode="verify-full", sslrootcert=own.certificate)
    proxy = start_pgprism(url, listener=listener(own))
    for binding in ("prefer", "require", "disable"):
        words = {
            "host": "localhost",
            "sslmode": "verify-full",
            "sslrootcert": str(own.certificate),
            "channel_binding": binding,
        }
        with psycopg.connect(server.address.at(proxy.endpoint).conninfo(**words), autocommit=True) as connection:
            assert connection.pgconn.ssl_in_use and ssl_of_backend(connection)
            assert connection.execute("SELECT repeat('x', 3000000)").fetchone() == ("x" * 3_000_000,)
            (session,) = [c for c in proxy.connections() if c["state"] != "starting"]
            assert session["tls"] is True and session["observed"] is True
    assert "channel_binding" not in proxy.log_text()
    with pytest.raises(psycopg.OperationalError, match="pgprism: this listener takes connections over TLS only"):
        psycopg.connect(server.address.at(proxy.endpoint).conninfo(sslmode="disable"))


def test_another_certificate_is_told_once_and_works_without_channel_binding(start_pgprism, server, folder):
    proxy = start_pgprism(upstream(server, sslmode="require"), listener=listener(make_certificate(folder, "other")))
    proxy.wait_logged("channel_binding=disable")
    address = server.address.at(proxy.endpoint)
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError, match="SCRAM channel binding check failed"):
            psycopg.connect(address.conninfo(sslmode="require"))
        with psycopg.connect(address.conninfo(sslmode="require", channel_binding="disable")) as connection:
            assert ssl_of_backend(connection)
    assert proxy.log_text().count("channel_binding=disable") == 1


def test_new_files_are_taken_by_sighup_and_bad_ones_are_not(start_pgprism, server, folder):
    used = make_certificate(folder, "used")
    proxy = start_pgprism(upstream(server, sslmode="disable"), listener=listener(used))
    address = server.address.at(proxy.endpoint)

    def shown() -> str:
        with psycopg.connect(address.conninfo(sslmode="verify-ca", sslrootcert=str(used.certificate))) as connection:
            assert connection.pgconn.ssl_in_use
        return ssl.PEM_cert_to_DER_cert(used.certificate.read_text()).hex()

    with psycopg.connect(address.conninfo(sslmode="require"), autocommit=True) as before:
        first = shown()
        proxy.reload()
        proxy.wait_logged("nothing changed")
        good = used.certificate.read_text()
        used.certificate.write_text("junk")
        proxy.reload()
        proxy.wait_logged("listeners.tls_certificate: ")
        used.certificate.write_text(good)
        assert shown() == first
        make_certificate(folder, "used")
        proxy.reload()
        proxy.wait_logged("changed: listeners.default.tls_certificate")
        assert shown() != first
        assert before.execute("SELECT 1").fetchone() == (1,)
