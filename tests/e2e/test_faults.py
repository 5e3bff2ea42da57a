"""Law 2: whatever comes, the bytes go through; what cannot be followed is no longer observed, and says so."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import struct
import threading

import psycopg
import pytest

from support.peak import Peak
from support.postgres import Address
from support.proxy import Listener, Pgprism
from support.waiting import wait_until
from support.wire import (
    AUTHENTICATION_OK,
    LOGIN,
    READY_IDLE,
    SYNC,
    FakeServer,
    RawClient,
    bind,
    describe,
    execute,
    frontend_messages,
    message,
    parse,
    query,
    startup,
)

MEGABYTE = 1_000_000
GROWTH_MAX = 2 * MEGABYTE


def reply_stream(body: bytes) -> bytes:
    """A complete, ordinary answer to one simple query around `body`."""
    row = message(b"T", struct.pack("!h", 1) + b"a\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0))
    return row + body + message(b"C", b"SELECT 1\0") + READY_IDLE


_random = random.Random(20)
HOSTILE_REPLIES: dict[str, bytes] = {
    "random bytes": _random.randbytes(50_000),
    "zeros": bytes(10_000),
    "length 0": b"D\0\0\0\0" + bytes(100),
    "length 3": b"Z\0\0\0\3" + bytes(100),
    "length -1": b"D\xff\xff\xff\xff" + bytes(1000),
    "length 2 GiB announced": b"D\x7f\xff\xff\xff" + bytes(100_000),
    "ReadyForQuery without status": message(b"Z"),
    "ReadyForQuery with an unknown status": message(b"Z", b"?"),
    "ReadyForQuery unasked": READY_IDLE * 5 + reply_stream(b""),
    "RowDescription with too many columns announced": message(b"T", b"\x7f\xff") + READY_IDLE,
    "RowDescription with a negative count": message(b"T", b"\xff\xff") + READY_IDLE,
    "RowDescription cut short": message(b"T", struct.pack("!h", 2) + b"a\0" + bytes(5)) + READY_IDLE,
    "CommandComplete without end": message(b"C", b"SELECT 1") + READY_IDLE,
    "CommandComplete of 1 MB": message(b"C", b"S" * MEGABYTE + b"\0") + READY_IDLE,
    "CommandComplete with an absurd count": message(b"C", b"SELECT 99999999999999999999999\0") + READY_IDLE,
    "CommandComplete empty": message(b"C") + READY_IDLE,
    "ErrorResponse without SQLSTATE": message(b"E", b"SERROR\0Mno state\0\0") + READY_IDLE,
    "ErrorResponse with a short SQLSTATE": message(b"E", b"C42\0\0") + READY_IDLE,
    "ErrorResponse without end": message(b"E", b"SERROR") + READY_IDLE,
    "ErrorResponse empty": message(b"E") + READY_IDLE,
    "ParameterStatus without value": message(b"S", b"application_name") + reply_stream(b""),
    "ParameterStatus not UTF-8": message(b"S", b"application_name\0\xff\xfe\0") + reply_stream(b""),
    "BackendKeyData again, short": message(b"K", b"\1") + reply_stream(b""),
    "authentication after login": AUTHENTICATION_OK + reply_stream(b""),
    "unknown message": message(b"~", b"future") + reply_stream(b""),
    "CopyInResponse nobody asked for": message(b"G", b"\0\0\0") + READY_IDLE,
    "CopyBothResponse and rows": message(b"W", b"\0\0\0") + reply_stream(b""),
    "PortalSuspended nobody asked for": message(b"s") + READY_IDLE,
    "DataRow that lies about its columns": reply_stream(message(b"D", struct.pack("!hi", 500, 2_000_000_000))),
    "half a message": b"D\0\0\1\0half",
    "half a header": b"D\0\0",
}


def hostile(reply: bytes) -> FakeServer:
    """Logs anybody in, answers the first query with `reply`, then says goodbye."""

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(LOGIN)
        for asked in frontend_messages(one):
            if asked.tag in b"QS":
                one.sendall(reply)
                one.shutdown(socket.SHUT_WR)
                while one.recv(65536):
                    pass
                return

    return FakeServer(script)


@pytest.fixture
def witness(pgprism_two, database):
    """A session with a real server that works before, during and after the harm."""
    proxy = pgprism_two
    address = database.at(proxy.endpoint_of("real"))
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        counted = 0

        def check() -> None:
            nonlocal counted
            counted += 1
            assert connection.execute("SELECT %s::int AS witness", [counted]).fetchone() == (counted,)

        check()
        yield check
        check()
        item = proxy.shape("SELECT $1::int AS witness", calls=counted)
        assert item["rows"] == counted and item["errors"] == 0
    assert proxy.process.exit_status is None


@pytest.fixture
def fake_relay(start_relay):
    """Forwards to whatever fake server the test has at the moment."""
    return start_relay(("127.0.0.1", 1))


@pytest.fixture
def pgprism_two(start_pgprism, postgres, fake_relay) -> Pgprism:
    """One proxy, one listener in front of a real server, one in front of a fake."""
    proxy = start_pgprism([Listener(postgres.address.endpoint, "real"), Listener(fake_relay.address, "fake")])
    proxy.expect.decode_errors = True
    return proxy


@pytest.mark.smoke
def test_a_hostile_server_harms_only_its_own_sessions(pgprism_two, fake_relay, witness):
    """Each reply arrives as it was sent; the sessions that cannot be followed are counted with a reason."""
    proxy = pgprism_two
    unobserved_max = 0
    for name, reply in HOSTILE_REPLIES.items():
        with hostile(reply) as server:
            fake_relay.retarget(server.endpoint)
            with RawClient(proxy.endpoint_of("fake")) as client:
                client.send(query("SELECT 'hello'"))
                received = bytearray()
                while data := client.receive_some():
                    received += data
                assert bytes(received) == reply, f"{name}: {len(received)} bytes of {len(reply)} came through"
                unobserved_max += 1
        witness()
    proxy.quiet()
    scrape = proxy.metrics()
    reasons = {s.label("reason"): s.value for s in scrape.series("pgprism_unobserved_sessions_total") if s.value}
    assert reasons and all(reasons), "nobody noticed"
    assert 10 <= sum(reasons.values()) <= unobserved_max, reasons
    assert scrape.total("pgprism_decode_errors_total", direction="upstream_to_client") >= 10


@pytest.mark.smoke
def test_an_unobserved_session_lives_on_and_says_so(pgprism_two, fake_relay, witness):
    """After a lie the session is relayed unread, for as long as it likes."""
    goes_on = threading.Event()

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(LOGIN)
        asked = frontend_messages(one)
        next(asked)
        one.sendall(b"Z\0\0\0\1")  # shorter than its own length field
        goes_on.wait(30)
        for _ in asked:
            one.sendall(b"echo")

    with FakeServer(script) as server:
        fake_relay.retarget(server.endpoint)
        with RawClient(pgprism_two.endpoint_of("fake")) as client:
            client.send(query("SELECT 1"))
            assert client.receive_exactly(5) == b"Z\0\0\0\1"

            def unobserved() -> bool:
                return any(c["listener"] == "fake" and not c["observed"] for c in pgprism_two.connections())

            wait_until(unobserved, "the session is listed as unobserved")
            goes_on.set()
            for _ in range(50):
                client.send(query("SELECT 2"))
                assert client.receive_exactly(4) == b"echo"
                witness()


HOSTILE_REQUESTS: dict[str, bytes] = {
    "length 0": b"Q\0\0\0\0",
    "length 3": b"Q\0\0\0\3",
    "length -1": b"Q\xff\xff\xff\xff",
    "2 GiB announced": b"Q\x7f\xff\xff\xff" + b"x" * 1000,
    "unknown type": message(b"~", b"what"),
    "Query without end": message(b"Q", b"SELECT 1"),
    "Parse cut short": message(b"P", b"name") + SYNC,
    "Parse with too many types announced": message(b"P", b"\0SELECT 1\0\x7f\xff") + SYNC,
    "Bind cut short": message(b"B", b"\0\0\0") + SYNC,
    "Bind with a negative count": message(b"B", b"\0\0\xff\xff") + SYNC,
    "Bind with a value longer than itself": message(b"B", b"\0\0\0\0\0\1\x7f\xff\xff\xff") + SYNC,
    "Execute of nothing": execute("no such portal") + SYNC,
    "Describe of an unknown kind": message(b"D", b"?x\0") + SYNC,
    "Close cut short": message(b"C") + SYNC,
    "FunctionCall": message(b"F", struct.pack("!Ihhh", 1, 0, 0, 0)),
    "CopyData outside COPY": message(b"d", b"x") + message(b"c") + query("SELECT 1"),
    "password after login": message(b"p", b"secret\0") + query("SELECT 1"),
    "not UTF-8": message(b"Q", b"SELECT '\xff\xfe'\0"),
    "a NUL inside": message(b"Q", b"SELECT 1\0SELECT 2\0"),
    "empty query": query(""),
    "half a message": b"Q\0\0\1\0SEL",
}


@pytest.mark.smoke
def test_a_hostile_client_gets_what_the_server_says(pgprism, postgres, database):
    """Through the proxy the very answer that the server gives direct."""
    pgprism.expect.decode_errors = True

    def answer(endpoint: tuple[str, int], sent: bytes) -> bytes:
        with RawClient(endpoint, database=database.database) as client:
            client.send(sent)
            client.finish_sending()
            received = bytearray()
            try:
                while data := client.receive_some():
                    received += data
            except ConnectionResetError:
                received += b"<reset>"
            return bytes(received)

    different = {}
    for name, sent in HOSTILE_REQUESTS.items():
        direct, through = answer(postgres.address.endpoint, sent), answer(pgprism.endpoint, sent)
        if direct != through:
            different[name] = (direct[-200:], through[-200:])
    assert not different, different
    wait_until(lambda: postgres.backend_count() == 0, "no backend is left behind")


HOSTILE_STARTUPS: dict[str, bytes] = {
    "nothing": b"",
    "length 0": bytes(4),
    "length 7": struct.pack("!i", 7) + bytes(3),
    "length -1": b"\xff\xff\xff\xff" + bytes(100),
    "2 GiB announced": struct.pack("!i", 2**31 - 1) + bytes(100),
    "64 KiB": struct.pack("!ii", 65536, 196608) + b"a" * 65528,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "unknown major version": struct.pack("!ii", 9, 4 << 16) + b"\0",
    "no user": struct.pack("!ii", 9, 196608) + b"\0",
    "no end": struct.pack("!ii", 16, 196608) + b"user\0raw",
    "two SSLRequests": bytes.fromhex("0000000804d2162f") * 2,
    "text behind SSLRequest": bytes.fromhex("0000000804d2162f") + startup("raw", "postgres"),
    "half a length": b"\0\0",
    "cancel with a wrong key": struct.pack("!iii", 16, 80877102, 1) + b"\0\0\0\1",
    "cancel without a key": struct.pack("!iii", 12, 80877102, 1),
}


def _startup_answer(endpoint: tuple[str, int], sent: bytes) -> bytes:
    """Everything that comes back for these first bytes and FIN; it must be little, and soon."""
    with socket.create_connection(endpoint, timeout=10) as one:
        one.sendall(sent)
        received = bytearray()
        try:
            one.shutdown(socket.SHUT_WR)
            while data := one.recv(65536):
                received += data
                assert len(received) < 100_000, "endless talk"
        except OSError as error:  # a reset is an end too
            assert not isinstance(error, TimeoutError), "the connection stays open"
        return bytes(received)


def _sqlstate(answer: bytes) -> str | None:
    found = re.search(rb"\0C([0-9A-Z]{5})\0", answer)
    return found[1].decode() if found else None


@pytest.mark.smoke
def test_hostile_startups_end_soon_and_leave_nothing(pgprism, postgres, database):
    """Silence where the server keeps silent, the server's SQLSTATE where it speaks."""
    pgprism.expect.decode_errors = True
    different = {}
    for name, sent in HOSTILE_STARTUPS.items():
        direct, through = (_startup_answer(end, sent) for end in (postgres.address.endpoint, pgprism.endpoint))
        if _sqlstate(direct) != _sqlstate(through):
            different[name] = (direct, through)
    assert not different, different
    with psycopg.connect(database.at(pgprism.endpoint).conninfo()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    pgprism.wait_no_sessions()
    wait_until(lambda: postgres.backend_count() == 0, "no backend is left behind")


def test_a_statement_of_100_megabytes(pgprism, database):
    """Counted, marked as truncated, forwarded whole, at no cost in memory."""
    body = b"x" * MEGABYTE
    with RawClient(pgprism.endpoint, database=database.database, deadline_s=120) as client:
        client.ask(f"SELECT length('{body.decode() * 3}')")
        head = b"SELECT length('"
        tail = b"') AS enormous\0"
        with Peak(pgprism.process) as peak:
            client.send(b"Q" + struct.pack("!i", 4 + len(head) + 100 * len(body) + len(tail)) + head)
            for _ in range(100):
                client.send(body)
            client.send(tail)
            answer = client.ready()
        assert b"100000000" in next(one.body for one in answer if one.tag == b"D")
        print(f"100 MB statement: {peak.growth / MEGABYTE:.2f} MB more at most")
        assert peak.growth < GROWTH_MAX
        assert client.rows("SELECT 'observed' AS still") == [[b"observed"]]
    assert pgprism.shape("SELECT 'observed' AS still")["calls"] == 1


def test_a_value_of_200_megabytes(pgprism, database):
    size = 200 * MEGABYTE
    with RawClient(pgprism.endpoint, database=database.database, deadline_s=120) as client:
        client.ask(f"SELECT repeat('x', {size // 50})")
        with Peak(pgprism.process) as peak:
            client.send(query(f"SELECT repeat('x', {size})"))
            end = b"Z\0\0\0\5I"
            got, last = 0, b""
            while last[-len(end) :] != end:
                data = client.receive_some(262144)
                got, last = got + len(data), last[-len(end) :] + data
            assert got > size
        print(f"200 MB value: {peak.growth / MEGABYTE:.2f} MB more at most")
        assert peak.growth < GROWTH_MAX
    item = pgprism.shape(f"SELECT repeat('x', {size})", calls=2)
    assert item["rows"] == 2 and item["bytes"] > size


def test_copy_of_200_megabytes_both_ways(pgprism, database):
    line = (b"y" * 999_999) + b"\n"
    with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE heavy (body text)")
        with connection.cursor() as cursor:
            with cursor.copy("COPY heavy FROM STDIN") as stream:
                stream.write(line * 4)
            with cursor.copy("COPY heavy TO STDOUT") as stream:
                assert sum(len(block) for block in stream) == 4 * len(line)
            cursor.execute("TRUNCATE heavy")
        with connection.cursor() as cursor, Peak(pgprism.process) as peak:
            with cursor.copy("COPY heavy FROM STDIN") as stream:
                for _ in range(200):
                    stream.write(line)
            digest = hashlib.sha256()
            with cursor.copy("COPY heavy TO STDOUT") as stream:
                for block in stream:
                    digest.update(block)
        expected = hashlib.sha256()
        for _ in range(200):
            expected.update(line)
        assert digest.digest() == expected.digest()
        print(f"200 MB COPY: {peak.growth / MEGABYTE:.2f} MB more at most")
        assert peak.growth < GROWTH_MAX
    assert pgprism.shape("COPY heavy FROM STDIN", calls=2)["rows"] == 204


def test_ten_thousand_named_statements(pgprism, database):
    """A session remembers the latest few hundred; the others still run, and the session is observed on."""
    with RawClient(pgprism.endpoint, database=database.database, deadline_s=120) as client:

        def prepare(numbers: range) -> None:
            parses = [parse(f"statement_{n}", "SELECT $1::int AS named", (23,)) for n in numbers]
            client.send(b"".join(parses) + SYNC)
            client.ready()

        for start in range(20_000, 20_400, 100):
            prepare(range(start, start + 100))
        with Peak(pgprism.process) as peak:
            for start in range(0, 10_000, 100):
                prepare(range(start, start + 100))
            for n in (9_999, 0, 5_000):
                client.send(
                    bind("", f"statement_{n}", str(n).encode()) + describe(b"P", "") + execute("") + SYNC
                )
                answer = client.ready()
                assert str(n).encode() in next(one.body for one in answer if one.tag == b"D")
        print(f"10,000 named statements: {peak.growth / MEGABYTE:.2f} MB more at most")
        assert peak.growth < GROWTH_MAX
    assert pgprism.metrics().total("pgprism_decode_errors_total") == 0
    # Every execution is counted, whether or not its text is still known.
    wait_until(lambda: pgprism.metrics().total("pgprism_queries_total") == 3, "the executions are counted")
    assert pgprism.queries()


def test_a_flood_of_garbage_logs_little(pgprism):
    """The log is bounded too: a thousand broken startups are not a thousand lines of warning."""
    pgprism.expect.decode_errors = True
    for _ in range(1000):
        with socket.create_connection(pgprism.endpoint, timeout=10) as one:
            one.sendall(b"\xff\xff\xff\xffgarbage")
    pgprism.wait_no_sessions()
    assert len(pgprism.log_text()) < 300_000


def test_the_connection_cap_and_an_unreachable_upstream_tell_the_client(start_pgprism, postgres, database):
    """53300 and 08006, behind the StartupMessage so that libpq shows them; sessions already there go on."""
    proxy = start_pgprism(postgres.address.endpoint, limits={"connections_max": 3})
    address: Address = database.at(proxy.endpoint)
    held = [psycopg.connect(address.conninfo(), autocommit=True) for _ in range(3)]
    with pytest.raises(psycopg.OperationalError, match="pgprism: ") as refused:
        psycopg.connect(address.conninfo())
    assert refused.value.sqlstate in ("53300", None)
    with socket.create_connection(proxy.endpoint, timeout=10) as one:
        one.sendall(startup("raw", "postgres"))
        received = b""
        while data := one.recv(65536):
            received += data
    assert b"C53300\0" in received
    canceller = threading.Timer(0.3, held[0].cancel_safe)
    canceller.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        held[0].execute("SELECT pg_sleep(30)")  # cancel works at the cap
    canceller.join()
    for connection in held:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        connection.close()
    wait_until(
        lambda: proxy.metrics().total("pgprism_connection_errors_total") >= 2, "the refusals are counted"
    )

    nowhere = socket.create_server(("127.0.0.1", 0))
    port = nowhere.getsockname()[1]
    nowhere.close()
    lost = start_pgprism(("127.0.0.1", port))
    assert lost.status_of("/healthz") == 200
    assert lost.status_of("/readyz") == 503
    with socket.create_connection(lost.endpoint, timeout=10) as one:
        one.sendall(startup("raw", "postgres"))
        received = b""
        while data := one.recv(65536):
            received += data
    assert b"C08006\0" in received and b"pgprism: " in received
