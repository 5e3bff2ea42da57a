"""What the proxy demands of its server's TLS: libpq's words, and libpq's own verdict as the measure of each."""

from __future__ import annotations

import re
import socket
import ssl
import threading

import psycopg
import pytest

from support.certificates import Certificates, Pair
from support.proxy import Listener, Pgprism
from support.tls_clients import Leg, Login
from support.tls_server import TlsPostgres
from support.wire import LOGIN, FakeServer, RawClient, ServerError

AUTHORITY, ITSELF = "authority", "itself"
"""Whose certificate is in `sslrootcert`: that of the authority, or the server's own."""


@pytest.fixture(scope="module")
def server(tls_servers):
    found = tls_servers(18)
    yield found
    found.show(found.certificates.server)


def upstream(server: TlsPostgres, sslmode: str, root: str | None, host: str = "127.0.0.1") -> str:
    return f"postgres://{host}:{server.port}?sslmode={sslmode}" + ("" if root is None else f"&sslrootcert={root}")


def root_file(certificates: Certificates, shown: Pair, root: str | None) -> str | None:
    match root:
        case "authority":
            return str(certificates.authority.certificate)
        case "itself":
            return str(shown.certificate)
    return None


def by_libpq(server: TlsPostgres, sslmode: str, root: str | None, host: str = "127.0.0.1") -> bool:
    """Whether libpq 18 accepts the server as it is now."""
    words = {"sslmode": sslmode, "sslrootcert": root or "/nonexistent", "gssencmode": "disable"}
    try:
        psycopg.connect(server.address.as_user("trust").conninfo(host=host, **words)).close()
    except psycopg.OperationalError:
        return False
    return True


MODES = [
    ("disable", None), ("prefer", None), ("require", None), ("require", AUTHORITY), ("require", ITSELF),
    ("verify-ca", AUTHORITY), ("verify-ca", ITSELF), ("verify-full", AUTHORITY), ("verify-full", ITSELF),
]
"""sslmode and sslrootcert. `require` with a root certificate is `verify-ca`, for libpq and so for us."""
VERIFYING, WITH_AUTHORITY = MODES[3:], [one for one in MODES if one[1] == AUTHORITY]
FULLY = [("verify-full", AUTHORITY), ("verify-full", ITSELF)]

MISNAMED = re.compile(r'certificate not valid for name "127\.0\.0\.1"; .*elsewhere.example.*')
EXPIRED = re.compile(r"certificate expired: verification time .*")

REFUSED: dict[str, dict[tuple[str, str | None], str | re.Pattern[str]]] = {
    "server": {},
    "misnamed": dict.fromkeys(FULLY, MISNAMED),
    "expired": dict.fromkeys(VERIFYING, EXPIRED),
    "strangers_server": dict.fromkeys(WITH_AUTHORITY, "UnknownIssuer"),
    "self_signed": dict.fromkeys(WITH_AUTHORITY, "Other(OtherError(CaUsedAsEndEntity))"),
    # Its only name is `localhost`.
    "version_1": dict.fromkeys(WITH_AUTHORITY, "Other(OtherError(UnsupportedCertVersion))")
    | {
        ("verify-full", ITSELF): 'certificate not valid for name "127.0.0.1"; certificate is only valid for "localhost"'
    },
}
"""What a server may show, and what is said of it where it is not enough; everything else in `MODES` is."""

PINNED = {
    (shown, sslmode, ITSELF)
    for shown, sslmodes in (
        ("server", ("require", "verify-ca", "verify-full")),
        ("strangers_server", ("require", "verify-ca", "verify-full")),
        ("misnamed", ("require", "verify-ca")),
        ("version_1", ("require", "verify-ca")),
    )
    for sslmode in sslmodes
}
"""Accepted here and by libpq refused: a certificate that is no CA stands in the root file itself."""
STRICTER = {("version_1", "require", AUTHORITY), ("version_1", "verify-ca", AUTHORITY)}
"""Refused here and by libpq accepted: rustls reads no certificates of X.509 version 1, so that only a pin helps."""


@pytest.mark.parametrize("shown", REFUSED)
def test_what_is_enough_for_which_sslmode(start_pgprism, server, certificates, clients, shown):
    """Where libpq accepts and where it refuses, with two exceptions of which each is named; the words are ours."""
    pair: Pair = getattr(certificates, shown)
    server.show(pair)
    proxy = start_pgprism(
        [
            Listener(upstream(server, sslmode, root_file(certificates, pair, root)), f"{sslmode}.{root}")
            for sslmode, root in MODES
        ]
    )
    problems = []
    for sslmode, root in MODES:
        outcome = clients["psql"].log_in(Login(proxy.endpoint_of(f"{sslmode}.{root}"), "trust"))
        what = f"sslmode={sslmode} sslrootcert={root}"
        differs = by_libpq(server, sslmode, root_file(certificates, pair, root)) is not (outcome.error is None)
        if differs is not ((shown, sslmode, root) in PINNED | STRICTER):
            problems.append(f"{what}: libpq decides {'otherwise' if differs else 'alike'}")
        if not _is(outcome.error, sslmode, server, REFUSED[shown].get((sslmode, root))):
            problems.append(f"{what}: {outcome}")
        elif outcome.error is None and outcome.server_tls is not (sslmode != "disable"):
            problems.append(f"{what}: the server says ssl = {outcome.server_tls}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("shown", ["self_signed", "version_1"])
def test_verify_full_finds_the_name_in_certificates_that_rustls_refuses(
    start_pgprism, server, certificates, clients, shown
):
    """Pinned, and named: by its alternative name, or by its common name where it has no others."""
    pair: Pair = getattr(certificates, shown)
    server.show(pair)
    proxy = start_pgprism(upstream(server, "verify-full", str(pair.certificate), "localhost"))
    assert clients["psql"].log_in(Login(proxy.endpoint, "scram")).server_tls is True


def _is(error: str | None, sslmode: str, server: TlsPostgres, refusal: str | re.Pattern[str] | None) -> bool:
    if error is None or refusal is None:
        return error is refusal
    where = f"sslmode={sslmode}, but the upstream 127.0.0.1:{server.port}"
    before = f"FATAL:  pgprism: {where} and we did not agree on TLS: invalid peer certificate: "
    if not error.startswith(before):
        return False
    said = error.removeprefix(before)
    return said == refusal if isinstance(refusal, str) else refusal.fullmatch(said) is not None


@pytest.mark.smoke
def test_a_name_is_what_verify_full_is_about(start_pgprism, server, certificates, clients):
    """The very host of the URL: by name it is found in the certificate, and each address of the name is tried."""
    server.show(certificates.server)
    root = str(certificates.authority.certificate)
    for host in ("localhost", "127.0.0.1"):
        proxy = start_pgprism(upstream(server, "verify-full", root, host))
        assert clients["psycopg3"].log_in(Login(proxy.endpoint, "scram")).server_tls is True


@pytest.mark.parametrize("sslmode", ["prefer", "require", "verify-ca", "verify-full"])
def test_a_server_without_tls(start_pgprism, postgres, certificates, clients, sslmode):
    root = "" if sslmode in ("prefer", "require") else f"&sslrootcert={certificates.authority.certificate}"
    proxy = start_pgprism(f"postgres://127.0.0.1:{postgres.port}?sslmode={sslmode}{root}")
    outcome = clients["psql"].log_in(Login(proxy.endpoint, "app"))
    if sslmode == "prefer":
        assert outcome.error is None and outcome.server_tls is False
    else:
        assert outcome.error == (
            f"FATAL:  pgprism: sslmode={sslmode}, but the upstream 127.0.0.1:{postgres.port} does not support TLS"
        )


def _refusal(proxy: Pgprism) -> tuple[str, str]:
    with pytest.raises(ServerError) as caught:
        RawClient(proxy.endpoint, user="raw")
    fields = caught.value.response.fields()
    return fields["C"], fields["M"]


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("answer", "sqlstate", "words"),
    [
        (b"S" + LOGIN, "08P01", "sent unencrypted data behind its answer to SSLRequest"),
        (b"SE", "08P01", "sent unencrypted data behind its answer to SSLRequest"),
        (b"X", "08P01", "answered the request for TLS with the byte 0x58"),
        (b"E\0\0\0\x0cSFATAL\0\0", "08006", "answered the request for TLS with an error; its own log says why"),
    ],
    ids=["a whole login", "one byte", "nonsense", "error"],
)
def test_what_a_server_must_not_answer_to_an_sslrequest(start_pgprism, answer, sqlstate, words):
    """Bytes behind the `S` could be anybody's; they must not be taken for what the server says inside TLS."""

    def script(one: socket.socket, request: bytes) -> None:
        assert request[4:] == bytes.fromhex("04d2162f"), "no SSLRequest"
        one.sendall(answer)
        while one.recv(4096):
            pass

    with FakeServer(script, declines_tls=False) as fake:
        proxy = start_pgprism(f"postgres://127.0.0.1:{fake.endpoint[1]}?sslmode=require")
        host, port = fake.endpoint
        assert _refusal(proxy) == (sqlstate, f"pgprism: sslmode=require, but the upstream {host}:{port} {words}")
        proxy.wait_no_sessions()


def test_the_servers_name_goes_with_the_handshake_unless_turned_off(start_pgprism, certificates):
    """SNI: by it a load balancer finds the server. An address is no name, as RFC 6066 says."""
    names: list[str | None] = []
    heard = threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server.certificate, certificates.server.key)
    context.sni_callback = lambda _, name, __: names.append(name)
    protocols: list[str | None] = []
    context.set_alpn_protocols(["postgresql"])

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(b"S")
        with context.wrap_socket(one, server_side=True) as tls:
            protocols.append(tls.selected_alpn_protocol())
            heard.set()
            while tls.recv(4096):
                pass

    for host, more, name in (
        ("localhost", "", "localhost"),
        ("localhost", "&sslsni=0", None),
        ("127.0.0.1", "", None),
    ):
        with FakeServer(script, declines_tls=False) as fake:
            proxy = start_pgprism(
                f"postgres://{host}:{fake.endpoint[1]}?sslmode=require{more}", timeouts={"login": "500ms"}
            )
            heard.clear()
            with RawClient(proxy.endpoint, log_in=False) as client:
                client.send(b"\0\0\0\x10\0\3\0\0user\0x\0\0")
                assert heard.wait(10)
            assert names[-1] == name and protocols[-1] == "postgresql"
            proxy.wait_no_sessions()


def test_a_client_certificate_of_the_proxys_own(start_pgprism, server, certificates, clients):
    """For `cert`, or as a second factor; the server decides whose it is."""
    server.show(certificates.server)
    for pair, words in (
        (certificates.client, None),
        (certificates.other_client, 'FATAL:  certificate authentication failed for user "cert"'),
    ):
        proxy = start_pgprism(
            f"postgres://127.0.0.1:{server.port}?sslmode=require&sslcert={pair.certificate}&sslkey={pair.key}"
        )
        assert clients["psql"].log_in(Login(proxy.endpoint, "cert")).error == words
    stranger = certificates.strangers_client
    proxy = start_pgprism(
        f"postgres://127.0.0.1:{server.port}?sslmode=require&sslcert={stranger.certificate}&sslkey={stranger.key}"
    )
    refused = clients["psql"].log_in(Login(proxy.endpoint, "cert")).error
    assert refused is not None and "UnknownCA" in refused
