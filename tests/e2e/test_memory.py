"""What sessions cost, idle or at the worst that a peer can do, with the others that could stand here beside it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading

import pytest

from support.certificates import Certificates
from support.greeter import Greeter, raise_descriptor_limit
from support.peak import Peak
from support.proxy import Pgprism
from support.rivals import MAKERS, Rival
from support.waiting import wait_until
from support.wire import LOGIN, FakeServer, RawClient, frontend_messages, query

GROWTH_MAX = 2_000_000
NEVER_READS_MAX = 64 * 1024
# The header of an allocation, and what an allocator that gives out whole pages adds.
ROUNDING = 4 * 1024
IDLE_MAX = 4 * 1024
IDLE_TLS_MAX = 16 * 1024
# Messages that PostgreSQL lets be as long; of others it accepts 10,000 bytes.
LARGE_TAGS = b"QPBFd"
SESSIONS = 5000
TLS_SESSIONS = 1000
GIGABYTE = "SELECT repeat('x', 1000000) FROM generate_series(1, 1000)"


def wait_stalled(proxy: Pgprism) -> None:
    """Until nothing moves any more: every buffer of the kernel's on the way is full."""
    seen: list[float] = []

    def stalled() -> bool:
        seen.append(proxy.metrics().total("pgprism_relayed_bytes_total"))
        return len(seen) >= 6 and len(set(seen[-6:])) == 1

    wait_until(stalled, "the buffers are full", every_s=0.1, deadline_s=30)


def test_a_gigabyte_for_a_reader_of_one_byte_a_second(pgprism, database):
    """Back-pressure is the kernel's: the proxy keeps what one read brought, however long it takes."""
    pgprism.expect.ends_within_s = 30
    with RawClient(pgprism.endpoint, database=database.database) as warm:
        warm.ask("SELECT repeat('x', 3000000)")
    client = RawClient(pgprism.endpoint, database=database.database, receive_buffer_bytes=4096)
    with Peak(pgprism.process) as peak:
        client.send(query(GIGABYTE))
        wait_stalled(pgprism)
        pause = threading.Event()
        for _ in range(5):
            assert client.socket.recv(1)
            pause.wait(1)
    client.reset()
    print(f"1 GB to a reader of a byte a second: {peak.growth / 1e6:.2f} MB more at most")
    assert peak.growth < GROWTH_MAX


def test_clients_that_never_read(pgprism, postgres, database):
    """Each costs one read at most; the others are served meanwhile."""
    count = 64
    clients = [
        RawClient(pgprism.endpoint, database=database.database, receive_buffer_bytes=4096) for _ in range(count)
    ]
    for client in clients:
        client.ask("SELECT 'warm'")
    before = pgprism.process.anonymous_bytes()
    for client in clients:
        client.send(query(GIGABYTE))
    wait_stalled(pgprism)
    each = (pgprism.process.anonymous_bytes() - before) / count
    with RawClient(pgprism.endpoint, database=database.database) as other:
        assert other.rows("SELECT 'served'") == [[b"served"]]
    for client in clients:
        client.reset()
    wait_until(lambda: postgres.backend_count() == 0, "their backends end")
    print(f"a client that never reads: {each / 1024:.1f} KiB")
    assert each <= NEVER_READS_MAX + ROUNDING


def test_a_gigabyte_announced_by_a_client_and_dribbled(pgprism, database):
    """Nothing is allocated by a length: not for the message of a session, not for a first packet."""
    with RawClient(pgprism.endpoint, database=database.database) as warm:
        warm.ask(f"SELECT length('{'x' * 200_000}')")
    clients = [RawClient(pgprism.endpoint, database=database.database) for _ in LARGE_TAGS]
    with Peak(pgprism.process) as peak:
        for tag, client in zip(LARGE_TAGS, clients, strict=True):
            client.send(bytes([tag]) + struct.pack("!i", 1_000_000_000))
        for _ in range(300):
            for client in clients:
                client.send(b"SELECT 1, ")
        first = socket.create_connection(pgprism.endpoint, timeout=10)
        first.sendall(struct.pack("!i", 1_000_000_000))
        assert first.recv(1) == b"", "a first packet of 1 GB is waited for"
        first.close()
    for client in clients:
        client.reset()
    print(f"1 GB announced by a client for each of five messages: {peak.growth / 1e6:.2f} MB more at most")
    assert peak.growth < GROWTH_MAX
    pgprism.wait_no_sessions()


def test_a_gigabyte_announced_by_a_server_and_dribbled(start_pgprism):
    """The same from the other side."""
    tags = b"DTCEStKWn"

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(LOGIN)
        for asked in frontend_messages(one):
            one.sendall(asked.body[:1] + struct.pack("!i", 1_000_000_000))
            for _ in range(300):
                one.sendall(b"\0\1dribble")

    with FakeServer(script) as server:
        proxy = start_pgprism(server.endpoint)
        proxy.expect.decode_errors = True

        def hear(tag: int) -> RawClient:
            client = RawClient(proxy.endpoint)
            client.send(query(chr(tag)))
            client.receive_exactly(5 + 300 * 9)
            return client

        warm = hear(tags[0])
        with Peak(proxy.process) as peak:
            clients = [hear(tag) for tag in tags]
        for client in (warm, *clients):
            client.reset()
        proxy.wait_no_sessions()
    print(f"1 GB announced by a server {len(tags)} times: {peak.growth / 1e6:.2f} MB more at most")
    assert peak.growth < GROWTH_MAX


def idle_bytes(proxy: Rival | Pgprism, count: int, tls: ssl.SSLContext | None = None) -> float:
    """Private memory of one idle session that has asked something, over `count` of them."""
    clients: list[RawClient] = []

    def connect(more: int) -> None:
        for _ in range(more):
            clients.append(RawClient(proxy.endpoint, tls=tls))
            clients[-1].ask("SELECT 1")

    try:
        connect(50)  # what is allocated once for all
        before = proxy.process.anonymous_bytes()
        connect(count)
        return (proxy.process.anonymous_bytes() - before) / count
    finally:
        for client in clients:
            client.socket.close()


def test_five_thousand_idle_sessions():
    """At most 4 KiB each, in plaintext; what PgBouncer and HAProxy take is told beside it."""
    descriptors = raise_descriptor_limit()
    assert descriptors >= 2 * SESSIONS + 500, f"only {descriptors} descriptors: ulimit -n {2 * SESSIONS + 500}"
    found = {}
    with Greeter() as greeter:
        for name, make in MAKERS.items():
            with make(greeter.endpoint) as rival:
                found[name] = idle_bytes(rival, SESSIONS)
                print(
                    f"{name} {rival.version}: {found[name] / 1024:.2f} KiB for each of {SESSIONS} idle sessions"
                )
    assert found["pgprism"] <= IDLE_MAX, found


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_thousand_idle_tls_sessions(start_pgprism, version):
    """The keys of both directions, and what the handshake leaves; no buffers."""
    raise_descriptor_limit()
    certificates = Certificates()
    context = ssl.create_default_context(cafile=certificates.authority.certificate)
    context.minimum_version = context.maximum_version = version
    with Greeter() as greeter:
        proxy = start_pgprism(greeter.endpoint, listener=certificates.proxy.listener())
        each = idle_bytes(proxy, TLS_SESSIONS, context)
        proxy.wait_no_sessions(deadline_s=30)
    print(f"{version.name}: {each / 1024:.2f} KiB for each of {TLS_SESSIONS} idle sessions")
    assert each <= IDLE_TLS_MAX
