"""`tls = "pass-through"`: the proxy is not there. Every login ends as it does without it, in the same words."""

from __future__ import annotations

import pytest

from support.proxy import Pgprism
from support.tls_clients import Leg, Login, Outcome
from support.tls_server import ROLES, TlsPostgres, presented

BINDINGS = ("disable", "prefer", "require")


@pytest.fixture
def pass_through(start_pgprism):
    def start(server: TlsPostgres) -> Pgprism:
        proxy = start_pgprism(server.address.endpoint, listener={"tls": "pass-through"})
        proxy.expect.decode_errors = True  # nothing inside TLS is observed, and that is counted
        return proxy

    return start


@pytest.mark.parametrize("leg", list(Leg), ids=lambda leg: leg.name.lower())
@pytest.mark.parametrize("name", ["psql", "psycopg2", "psycopg3", "asyncpg", "jdbc"])
@pytest.mark.parametrize("major", [14, 17, 18])
def test_every_login_ends_as_it_does_directly(pass_through, tls_servers, certificates, clients, major, name, leg):
    """Channel binding and the client's own certificate included; and direct TLS only where the server knows it."""
    client, server = clients[name], tls_servers(major)
    if leg not in client.legs:
        pytest.skip(f"{name} knows no {leg.value}")
    proxy = pass_through(server)
    problems = []
    for role in ROLES:
        for certificate in (None, certificates.client):
            for binding in BINDINGS if client.binds else ("disable",):
                login = Login(server.address.endpoint, role, leg, binding, certificate)
                wanted, found = client.log_in(login), client.log_in(login.but(endpoint=proxy.endpoint))
                if found != wanted:
                    shown = "with" if certificate else "without"
                    problems.append(f"{role}, {binding}, {shown} a certificate: {found!r}   instead of   {wanted!r}")
    assert not problems, "\n".join(problems)


@pytest.mark.smoke
@pytest.mark.parametrize("major", [14, 18])
def test_channel_binding_can_be_required(pass_through, tls_servers, certificates, clients, major):
    server = tls_servers(major)
    proxy = pass_through(server)
    assert presented(proxy.endpoint) == certificates.server.der()
    for name in ("psycopg2", "psycopg3"):
        login = Login(proxy.endpoint, "scram", Leg.TLS, "require", root=certificates.authority.certificate)
        assert clients[name].log_in(login) == Outcome(server_tls=True, client_tls=True)
    assert proxy.quiet().total("pgprism_unobserved_sessions_total") > 0


@pytest.mark.smoke
def test_direct_tls_needs_a_server_that_knows_it(pass_through, tls_servers, clients):
    assert clients["psycopg3"].log_in(Login(pass_through(tls_servers(18)).endpoint, leg=Leg.DIRECT)) == Outcome(
        server_tls=True, client_tls=True
    )
    refused = clients["psycopg3"].log_in(Login(pass_through(tls_servers(16)).endpoint, leg=Leg.DIRECT))
    assert refused == Outcome("SSL error: unexpected eof while reading")
