"""Every way in by every way out, for every client and every server: what works, and what is said where it cannot.

The proxy never takes part in SCRAM, so the two certificates decide: channel binding proves to the server which
certificate the client saw, and that is the proxy's. `docs/tls.md` has the same table in words.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from support import tools
from support.certificates import Certificates
from support.proxy import Listener, Pgprism
from support.tls_clients import Client, Leg, Login
from support.tls_server import ROLES, TlsPostgres

PLAINTEXT, DEFAULT, TLS, DIRECT = Leg.PLAINTEXT, Leg.DEFAULT, Leg.TLS, Leg.DIRECT

UPSTREAMS = ("plaintext", "socket", "tls", "tls-cert")
"""How the proxy reaches the server: `tls-cert` with a client certificate of its own, which is made out to `cert`."""
OWN, OTHER = "own", "other"
"""Which certificate the proxy shows: the server's, with its key, or one of its own."""
BINDINGS = ("disable", "prefer", "require")


@dataclass(frozen=True)
class Works:
    """A session; its client's leg is encrypted as asked for unless `client_tls` says otherwise."""

    client_tls: bool | None = None


@dataclass(frozen=True)
class Fatal:
    """The server refuses; each client has its own way to quote that."""

    sqlstate: str
    words: str


@dataclass(frozen=True)
class Own:
    """libpq gives up by itself."""

    words: str


@dataclass(frozen=True)
class Twice:
    """`sslmode=prefer`: refused with TLS, then tried again without and refused again."""

    first: Fatal
    second: Fatal | Own


Expected = Works | Fatal | Own | Twice

WORKS = Works()
FALLS_BACK = Works(client_tls=False)
NO_TLS = Own("channel binding required, but SSL not in use")
NOT_OFFERED = Own(
    "channel binding is required, but server did not offer an authentication method that supports channel binding"
)
NOT_BOUND = Own("channel binding required, but server authenticated client without channel binding")
NOT_SUPPORTED = Own("channel binding required but not supported by server's authentication request")
OTHER_CERTIFICATE = Fatal("28000", "SCRAM channel binding check failed")
CERTIFICATE_WANTED = Fatal("28000", "connection requires a valid client certificate")


def no_entry(role: str, host: str, encryption: str) -> Fatal:
    return Fatal(
        "28000", f'no pg_hba.conf entry for host "{host}", user "{role}", database "postgres", {encryption}'
    )


def _scram(role: str, upstreams: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    """The rows of a role with a SCRAM password, for the upstreams by which the server lets it in."""
    bare = tuple(one for one in upstreams if one in ("plaintext", "socket"))
    encrypted = tuple(one for one in upstreams if one.startswith("tls"))
    any_certificate = (OWN, OTHER)
    # role, legs, upstreams, the proxy's certificate, channel_binding = disable, prefer, require
    yield role, (PLAINTEXT,), upstreams, any_certificate, WORKS, WORKS, NO_TLS
    yield role, (DEFAULT, TLS, DIRECT), bare, any_certificate, WORKS, WORKS, NOT_OFFERED
    yield role, (DEFAULT, TLS, DIRECT), encrypted, (OWN,), WORKS, WORKS, WORKS
    yield role, (TLS, DIRECT), encrypted, (OTHER,), WORKS, OTHER_CERTIFICATE, OTHER_CERTIFICATE
    yield role, (DEFAULT,), encrypted, (OTHER,), WORKS, FALLS_BACK, Twice(OTHER_CERTIFICATE, NO_TLS)


def _refused(role: str, upstreams: tuple[str, ...], why: Fatal) -> Iterator[tuple[object, ...]]:
    """The rows of a role that the server does not let in, however its client comes to the proxy."""
    yield role, (PLAINTEXT, TLS, DIRECT), upstreams, (OWN, OTHER), why, why, why
    yield role, (DEFAULT,), upstreams, (OWN, OTHER), *[Twice(why, why)] * 3


def _table() -> Iterator[tuple[object, ...]]:
    everywhere = (tuple(Leg), UPSTREAMS, (OWN, OTHER))
    yield from _scram("scram", UPSTREAMS)
    yield "md5", *everywhere, WORKS, WORKS, NOT_SUPPORTED
    yield "trust", *everywhere, WORKS, WORKS, NOT_BOUND
    # The client's certificate ends at the proxy; the proxy's counts.
    yield "cert", tuple(Leg), ("tls-cert",), (OWN, OTHER), WORKS, WORKS, NOT_BOUND
    yield from _scram("scram_and_cert", ("tls-cert",))
    for role in ("cert", "scram_and_cert"):
        yield from _refused(role, ("plaintext",), no_entry(role, "127.0.0.1", "no encryption"))
        yield from _refused(role, ("socket",), no_entry(role, "[local]", "no encryption"))
        yield from _refused(role, ("tls",), CERTIFICATE_WANTED)
    # What pg_hba.conf says of encryption is about the proxy's leg to the server.
    yield from _scram("tls_only", ("socket", "tls", "tls-cert"))
    yield from _refused("tls_only", ("plaintext",), no_entry("tls_only", "127.0.0.1", "no encryption"))
    yield from _scram("plaintext_only", ("plaintext", "socket"))
    yield from _refused(
        "plaintext_only", ("tls", "tls-cert"), no_entry("plaintext_only", "127.0.0.1", "SSL encryption")
    )


EXPECTED: dict[tuple[str, Leg, str, str, str], Expected] = {
    (role, leg, upstream, certificate, binding): expected
    for role, legs, upstreams, certificates, *by_binding in _table()
    for leg in legs
    for upstream in upstreams
    for certificate in certificates
    for binding, expected in zip(BINDINGS, by_binding, strict=True)
}
"""THE table: one entry a cell."""


def said(expected: Expected, client: Client) -> str:
    """What that client writes."""
    match expected:
        case Works():
            return "works"
        case Own(words):
            return words
        case Twice(first, second) if client.binds:
            return f"{said(first, client)}\n{said(second, client)}"
        case Twice(_, second):
            return said(second, client)
        case Fatal(sqlstate, words):
            match client.name:
                case "asyncpg":
                    return f"{sqlstate} {words}"
                case "jdbc":
                    return f"{sqlstate} FATAL: {words}"
                case _:
                    return f"FATAL:  {words}"


def check(client: Client, login: Login, expected: Expected, upstream: str) -> str | None:
    """Logs in; what differs from what is expected, in words."""
    outcome = client.log_in(login)
    if str(outcome) != said(expected, client):
        return f"{outcome}   instead of   {said(expected, client)}"
    if not isinstance(expected, Works):
        return None
    if outcome.server_tls is not upstream.startswith("tls"):
        return f"the server says ssl = {outcome.server_tls}"
    wanted = login.leg is not PLAINTEXT if expected.client_tls is None else expected.client_tls
    if outcome.client_tls is not None and outcome.client_tls is not wanted:
        return f"the client says ssl = {outcome.client_tls}"
    return None


class Proxies:
    """One proxy a server, with a listener for each way out and each certificate; all of them allow TLS."""

    def __init__(self, servers: Callable[[int], TlsPostgres], certificates: Certificates, stack: contextlib.ExitStack):
        self._servers, self._certificates, self._stack = servers, certificates, stack
        self._running: dict[int, Pgprism] = {}

    def __call__(self, major: int) -> Pgprism:
        if major not in self._running:
            server = self._servers(major)
            listeners = [
                Listener(self._upstream(server, upstream), f"{upstream}-{certificate}", self._options(certificate))
                for upstream in UPSTREAMS
                for certificate in (OWN, OTHER)
            ]
            self._running[major] = self._stack.enter_context(Pgprism(listeners))
        return self._running[major]

    def _upstream(self, server: TlsPostgres, upstream: str) -> str:
        endpoint = f"postgres://127.0.0.1:{server.port}"
        match upstream:
            case "plaintext":
                return f"{endpoint}?sslmode=disable"
            case "socket":
                return f"postgres:///?host={urllib.parse.quote(str(server.socket_folder), safe='')}&port={server.port}"
            case "tls":
                return f"{endpoint}?sslmode=require"
        client = self._certificates.client
        return f"{endpoint}?sslmode=require&sslcert={client.certificate}&sslkey={client.key}"

    def _options(self, certificate: str) -> dict[str, str]:
        pair = self._certificates.server if certificate == OWN else self._certificates.proxy
        return pair.listener("allow")


@pytest.fixture(scope="module")
def proxies(tls_servers, certificates) -> Iterator[Proxies]:
    with contextlib.ExitStack() as stack:
        yield Proxies(tls_servers, certificates, stack)


def cells(proxy: Pgprism, client: Client, leg: Leg, roles: tuple[str, ...], bindings: tuple[str, ...]) -> int:
    """Tries them all, then tells of those that differ."""
    problems, count = [], 0
    for role in roles:
        for upstream in UPSTREAMS:
            for certificate in (OWN, OTHER) if leg is not PLAINTEXT else (OWN,):
                for binding in bindings if client.binds else ("disable",):
                    login = Login(proxy.endpoint_of(f"{upstream}-{certificate}"), role, leg, binding)
                    problem = check(client, login, EXPECTED[role, leg, upstream, certificate, binding], upstream)
                    count += 1
                    if problem is not None:
                        problems.append(f"{role}, {leg.value}, {upstream}, {certificate}, {binding}: {problem}")
    assert not problems, f"{len(problems)} of {count} cells differ\n" + "\n".join(problems)
    return count


@pytest.mark.smoke
@pytest.mark.parametrize("major", [14, 18])
def test_the_main_cells(proxies, clients, major):
    """What Python's drivers do by themselves with a SCRAM password."""
    for name in ("psycopg2", "psycopg3", "asyncpg"):
        for leg in clients[name].legs:
            cells(proxies(major), clients[name], leg, ("scram",), ("prefer",))


@pytest.mark.parametrize("leg", list(Leg), ids=lambda leg: leg.name.lower())
@pytest.mark.parametrize("name", ["psql", "psycopg2", "psycopg3", "asyncpg", "jdbc"])
@pytest.mark.parametrize("major", tools.MAJORS)
def test_every_cell(proxies, clients, major, name, leg):
    """Every kind of channel binding with the newest server; with the others what a client does by itself."""
    client = clients[name]
    if leg not in client.legs:
        pytest.skip(f"{name} knows no {leg.value}")
    cells(proxies(major), client, leg, ROLES, BINDINGS if major == max(tools.MAJORS) else ("prefer",))
