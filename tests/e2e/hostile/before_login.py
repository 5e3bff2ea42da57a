"""What a client can say before it is logged in: packets, greetings of other protocols, halves, floods."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from support.wire import PROTOCOL_3_0, PROTOCOL_3_2, TERMINATE, message, query, startup, text

from .case import Case, End, Likeness, case

SSL = bytes.fromhex("0000000804d2162f")
GSSENC = bytes.fromhex("0000000804d21630")
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + bytes(160)
GOOD = startup("raw", "postgres")
_random = random.Random(4)


def packet(body: bytes) -> bytes:
    return struct.pack("!i", len(body) + 4) + body


def parameters(*words: str | bytes, version: int = PROTOCOL_3_0, end: bytes = b"\0") -> bytes:
    """A StartupMessage of these names and values, as they are."""
    body = b"".join((word.encode() if isinstance(word, str) else word) + b"\0" for word in words)
    return packet(struct.pack("!I", version) + body + end)


def cases() -> Iterator[Case]:
    yield from _lengths()
    yield from _versions()
    yield from _options()
    yield from _names()
    yield from _consoles()
    yield from _terminators()
    yield from _second_startups()
    yield from _passwords()
    yield from _encryption()
    yield from _greetings()
    yield from _cancels()
    yield from _halves()


def _lengths() -> Iterator[Case]:
    for length in (*range(9), 9, 10, 12):
        yield case(f"first packet, length {length}", struct.pack("!I", length) + bytes(12))
    above = (10_001, 10_004, 65_535, 65_536, 2**24, 2**30, 2**31 - 1, 2**31, 2**31 + 8, 2**32 - 8, 2**32 - 1)
    for length in above:
        reference = "CVE-2026-107348" if length >= 2**31 else None
        yield case(
            f"first packet, length {length}, nothing behind", struct.pack("!I", length), reference=reference
        )
        yield case(
            f"first packet, length {length}, 100 bytes behind",
            struct.pack("!I", length) + bytes(100),
            reference="CVE-2026-6664" if length >= 2**31 - 1 else None,
        )
    for length in (9_999, 10_000):
        fill = "a" * (length - len(parameters("user", "raw", "database", "postgres", "application_name", "")))
        yield case(
            f"StartupMessage of {length} bytes, whole",
            parameters("user", "raw", "database", "postgres", "application_name", fill),
        )
        yield case(f"length {length}, 100 bytes of it", struct.pack("!I", length) + bytes(100))
    # PostgreSQL means 10,000 bytes behind the length; here, as its manual can be read, they are 10,000 in all.
    yield case(
        "10,001 bytes, all of them sent",
        struct.pack("!II", 10_001, PROTOCOL_3_0) + b"a" * 9_993,
        likeness=Likeness.SPARED,
    )
    yield case("64 KiB, all of it sent", struct.pack("!II", 65_536, PROTOCOL_3_0) + b"a" * 65_528)


def _versions() -> Iterator[Case]:
    versions = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 9), (3, 1), (3, 2), (3, 3), (3, 9999), (3, 65535), (4, 0)]
    versions += [(255, 255), (1234, 0), (1234, 5677), (1234, 5681), (32767, 65535), (32768, 0), (65535, 65535)]
    for major, minor in versions:
        yield case(
            f"version {major}.{minor}",
            parameters("user", "raw", "database", "postgres", version=major << 16 | minor),
        )
    yield case("version 3.0 and nothing else", packet(struct.pack("!I", PROTOCOL_3_0)))
    yield case("version 3.2 and nothing else", packet(struct.pack("!I", PROTOCOL_3_2)))


def _options() -> Iterator[Case]:
    who = ("user", "raw", "database", "postgres")
    options: dict[str, tuple[str, ...]] = {
        "one": ("_pq_.x", "1"),
        "without a value": ("_pq_.x", ""),
        "without a name": ("_pq_.", "1"),
        "without its dot": ("_pq_", "1"),
        "grease of libpq": ("_pq_.test_protocol_negotiation", ""),
        "the same twice": ("_pq_.x", "1", "_pq_.x", "2"),
        "fifty": tuple(word for n in range(50) for word in (f"_pq_.option_{n}", "on")),
        "a name of 5,000 bytes": ("_pq_." + "x" * 5_000, "1"),
        "a value of 5,000 bytes": ("_pq_.x", "1" * 5_000),
        "a newline in its name": ("_pq_.a\nb", "1"),
    }
    for name, words in options.items():
        for version in (PROTOCOL_3_0, PROTOCOL_3_2, 3 << 16 | 9999):
            yield case(
                f"protocol option: {name}, version 3.{version & 0xFFFF}",
                parameters(*who, *words, version=version),
            )
    for name, value, reference in (
        ("an empty name", "-c=", "CVE-2026-107349"),
        ("an empty name and value", "-c =", "CVE-2026-107349"),
        ("search_path", "-c search_path=evil,pg_catalog", "CVE-2025-12819"),
        ("search_path with quotes", '-c search_path="a\';DROP TABLE x;--"', "CVE-2025-12819"),
        ("nothing behind -c", "-c", None),
        ("a lone dash", "-", None),
        ("two dashes", "--", None),
        ("a long one without =", "--work_mem", None),
        ("an unknown setting", "-c no.such.thing=1", None),
        ("a value out of range", "-c work_mem=-7", None),
        ("a backslash at its end", "-c work_mem=4MB\\", None),
        ("blanks only", " " * 3_000, None),
        ("two thousand dashes", "-" * 2_000, None),
        ("settings without end", "-c geqo=on " * 500, None),
        ("a newline", "-c work_mem=4MB\n-c geqo=off", None),
    ):
        yield case(f"options: {name}", parameters(*who, "options", value), reference=reference)


def _names() -> Iterator[Case]:
    for length in (63, 64, 65, 1_000, 9_000):
        reference = "CVE-2012-4575" if length > 64 else None
        yield case(f"database of {length} bytes", startup("raw", "d" * length), reference=reference)
        # Who does not exist is asked for a password all the same, with a salt that is made up.
        yield case(f"user of {length} bytes", startup("u" * length, "postgres"), likeness=Likeness.SQLSTATE)
    words: dict[str, tuple[str | bytes, ...]] = {
        "no user": ("database", "postgres"),
        "empty user": ("user", "", "database", "postgres"),
        "no database": ("user", "raw"),
        "empty database": ("user", "raw", "database", ""),
        "user twice, the good one first": ("user", "raw", "user", "nobody", "database", "postgres"),
        "user twice, the good one last": ("user", "nobody", "user", "raw", "database", "postgres"),
        "database twice": ("user", "raw", "database", "postgres", "database", "nowhere"),
        "application_name twice": ("user", "raw", "application_name", "a", "application_name", "b"),
        "database that is not UTF-8": ("user", "raw", "database", b"\xff\xfe\x80"),
        "database with quotes": ("user", "raw", "database", "'\"; DROP DATABASE x; --"),
        "database with newlines": ("user", "raw", "database", "a\r\n\r\nb"),
        "database with terminal escapes": ("user", "raw", "database", "\x1b[2J\x07"),
        "database with format marks": ("user", "raw", "database", "%s%n%x{0}{}"),
        "application_name not UTF-8": (
            "user",
            "raw",
            "database",
            "postgres",
            "application_name",
            b"\xc3\x28\xff",
        ),
        "application_name with markup": (
            "user",
            "raw",
            "database",
            "postgres",
            "application_name",
            '<script>\n"}',
        ),
        "application_name of 9,000 bytes": (
            "user",
            "raw",
            "database",
            "postgres",
            "application_name",
            "é" * 4_500,
        ),
        "an unknown setting": ("user", "raw", "database", "postgres", "no_such_setting", "1"),
        "a setting only the server makes": ("user", "raw", "database", "postgres", "server_version", "1"),
        "a setting of the administrator": ("user", "raw", "database", "postgres", "port", "1"),
        "a bad client_encoding": ("user", "raw", "database", "postgres", "client_encoding", "KLINGON"),
        "a bad DateStyle": ("user", "raw", "database", "postgres", "datestyle", "\\'"),
        "search_path": ("user", "raw", "database", "postgres", "search_path", "evil"),
        "a role": ("user", "raw", "database", "postgres", "role", "postgres"),
        "replication=maybe": ("user", "raw", "database", "postgres", "replication", "maybe"),
        "replication=true": ("user", "raw", "replication", "true"),
        "replication=database": ("user", "raw", "database", "postgres", "replication", "database"),
        "a name without a value": ("user", "raw", "database"),
        "a name of 9,000 bytes": ("user", "raw", "database", "postgres", "n" * 9_000, "1"),
        "six hundred names": ("user", "raw", *(word for n in range(600) for word in (f"a.b{n}", "1"))),
        "names in capitals": ("USER", "raw", "DATABASE", "postgres"),
    }
    for name, given in words.items():
        yield case(
            f"parameters: {name}",
            parameters(*given),
            reference="CVE-2025-12819" if name == "search_path" else None,
        )


def _consoles() -> Iterator[Case]:
    """A pooler has a database of its own with commands for its administrator, and asks a table for passwords."""
    for name in ("pgbouncer", "pgcat", "pgdog", "console", "pgprism"):
        command = startup("raw", name) + query("SHUTDOWN")
        yield case(f"a command for the console `{name}`", command, reference="CVE-2026-6667")
    yield case(
        "a user that nobody knows",
        startup('nobody"; --', "postgres"),
        likeness=Likeness.SQLSTATE,
        reference="CVE-2015-6817",
    )


def _terminators() -> Iterator[Case]:
    yield case("no NUL at the end", parameters("user", "raw", "database", "postgres", end=b""))
    yield case("no NUL behind the last value", packet(struct.pack("!I", PROTOCOL_3_0) + b"user\0raw"))
    yield case("no NUL at all", packet(struct.pack("!I", PROTOCOL_3_0) + b"userraw"))
    yield case("an empty name, and more behind it", parameters("user", "raw", "", "database", "postgres"))
    yield case(
        "bytes behind the last NUL", parameters("user", "raw", "database", "postgres", end=b"\0\0\0junk")
    )
    yield case("one NUL only", packet(struct.pack("!I", PROTOCOL_3_0) + b"\0"))
    yield case("NULs only", packet(struct.pack("!I", PROTOCOL_3_0) + bytes(500)))
    yield case("random parameters", packet(struct.pack("!I", PROTOCOL_3_0) + _random.randbytes(800)))


def _second_startups() -> Iterator[Case]:
    yield case("a second StartupMessage right behind the first", GOOD + GOOD)
    yield case("a second StartupMessage after the login", GOOD, 300, GOOD)
    yield case("a second StartupMessage for somebody else", GOOD, 300, startup("postgres", "template1"))
    scram = startup("app", "postgres")
    for name, words in (
        ("the same again", scram),
        ("as a user without a password", GOOD),
        ("as the superuser", startup("postgres", "postgres")),
    ):
        yield case(f"StartupMessage during SCRAM: {name}", scram, 9, words, reference="CVE-2026-107350")
    yield case("CancelRequest during SCRAM", scram, 9, struct.pack("!IIII", 16, 80877102, 1, 1))
    yield case("SSLRequest during SCRAM", scram, 9, SSL)
    yield case("SSLRequest after the login", GOOD, 300, SSL)
    yield case(
        "StartupMessage, a query and goodbye in one piece", GOOD + query("SELECT 1 AS early") + TERMINATE
    )
    yield case("a query during SCRAM", scram, 9, query("SELECT 1"))
    yield case("Terminate during SCRAM", scram, 9, TERMINATE)
    yield case("a Sync instead of a StartupMessage", b"S\0\0\0\4")
    yield case(
        "a Query instead of a StartupMessage", query("SELECT 1"), reference="PgBouncer 1.5.5: packet order"
    )


def _passwords() -> Iterator[Case]:
    scram = startup("app", "postgres")
    mechanism = text("SCRAM-SHA-256")
    first = b"n,,n=,r=abcdefghijklmnop"

    def initial(data: bytes, length: int | None = None) -> bytes:
        return message(b"p", mechanism + struct.pack("!I", len(data) if length is None else length) + data)

    answers: dict[str, bytes] = {
        "empty": message(b"p"),
        "a plain password": message(b"p", b"correct horse\0"),
        "an md5 password": message(b"p", b"md5" + b"0" * 32 + b"\0"),
        "an unknown mechanism": message(b"p", text("X-OAUTH") + struct.pack("!i", -1)),
        "a mechanism of 9,000 bytes": message(b"p", text("M" * 9_000) + struct.pack("!i", -1)),
        "no NUL behind the mechanism": message(b"p", b"SCRAM-SHA-256"),
        "no response": message(b"p", mechanism + struct.pack("!i", -1)),
        "a response longer than it says": initial(first, 3),
        "a response shorter than it says": initial(first, 1000),
        "a response of 2 GiB announced": initial(first, 2**31 - 1),
        "a response of -2 bytes": initial(first, 2**32 - 2),
        "an empty response": initial(b""),
        "a NUL inside the response": initial(b"n,,n=\0,r=abc"),
        "channel binding without TLS": initial(b"p=tls-unique,,n=,r=abcdefgh"),
        "channel binding unknown": initial(b"p=tls-nonsense,,n=,r=abcdefgh"),
        "an unknown flag": initial(b"z,,n=,r=abcdefgh"),
        "an authorization identity": initial(b"n,a=postgres,n=,r=abcdefgh"),
        "a mandatory extension": initial(b"n,,m=x,n=,r=abcdefgh"),
        "no nonce": initial(b"n,,n="),
        "a nonce with bytes that may not be": initial(b"n,,n=,r=abc\x7f\xff"),
        "PLUS without TLS": message(b"p", text("SCRAM-SHA-256-PLUS") + struct.pack("!i", 5) + b"p=x,,"),
        "length 3": b"p\0\0\0\3",
        "length 0": b"p\0\0\0\0",
        "length 2^31-1": b"p\x7f\xff\xff\xff" + bytes(100),
        "length 2^31": b"p\x80\0\0\0" + bytes(100),
        "length 2^32-1": b"p\xff\xff\xff\xff" + bytes(100),
        "100 KB": message(b"p", b"x" * 100_000),
        "another tag": message(b"Z", b"I"),
    }
    for name, sent in answers.items():
        yield case(f"SCRAM: {name}", scram, 9, sent)
    # The server's nonce and salt are new each time.
    for name, sent in {
        "a nonce of 60,000 bytes": initial(b"n,,n=,r=" + b"r" * 60_000),
        "nothing after the server's first": initial(first),
        "two first messages": initial(first) * 2,
        "a final message that is noise": initial(first) + message(b"p", _random.randbytes(64)),
        "a final message without its proof": initial(first) + message(b"p", b"c=biws,r=abcdefghijklmnop"),
        "a final message of 60,000 bytes": initial(first) + message(b"p", b"c=biws,r=" + b"a" * 60_000),
        "a wrong proof": initial(first) + message(b"p", b"c=biws,r=abcdefghijklmnop,p=" + b"A" * 43 + b"="),
    }.items():
        reference = "CVE-2026-6665" if "nonce of" in name else None
        yield case(f"SCRAM: {name}", scram, 9, sent, likeness=Likeness.SQLSTATE, reference=reference)


def _encryption() -> Iterator[Case]:
    refused = {"likeness": Likeness.REFUSED}
    behind = {"likeness": Likeness.SQLSTATE, "reference": "CVE-2021-3935, CVE-2021-23214, CVE-2021-43766"}
    for one, request in (("SSLRequest", SSL), ("GSSENCRequest", GSSENC)):
        yield case(f"{one} and nothing else", request)
        yield case(f"{one}, then a login", request, 1, GOOD)
        yield case(f"{one} twice", request, 1, request, **refused)
        yield case(f"{one} three times", request, 1, request, 2, request, **refused)
        yield case(f"{one}, then a TLS handshake all the same", request, 1, TLS_HELLO)
        yield case(f"{one}, then HTTP", request, 1, b"GET / HTTP/1.1\r\n\r\n")
        yield case(f"{one}, then a cancel", request, 1, struct.pack("!IIII", 16, 80877102, 1, 1))
        yield case(f"{one} with a login behind it", request + GOOD, **behind)
        yield case(f"{one} with a TLS handshake behind it", request + TLS_HELLO, **behind)
        yield case(f"{one} with one byte behind it", request + b"\0", **behind)
        yield case(f"{one} a thousand times in one piece", request * 1000, **behind)
        for length in (7, 9, 12, 16, 10_000):
            wrong = struct.pack("!I", length) + request[4:] + bytes(max(length - 8, 0))
            yield case(f"{one} of {length} bytes", wrong, likeness=Likeness.SPARED)
        yield case(f"half of a {one}", request[:5])
    yield case("SSLRequest, GSSENCRequest, login", SSL, 1, GSSENC, 2, GOOD)
    yield case("GSSENCRequest, SSLRequest, login", GSSENC, 1, SSL, 2, GOOD)
    endless = [step for n in range(100) for step in ((SSL, GSSENC)[n % 2], n + 1)]
    yield case("both requests in turns without end", *endless, reference="CVE-2026-6479", **refused)


def _greetings() -> Iterator[Case]:
    greetings: dict[str, bytes] = {
        "HTTP GET": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HTTP POST": b"POST /api HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000,
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP CONNECT": b"CONNECT 10.0.0.1:22 HTTP/1.1\r\n\r\n",
        "TLS 1.0 hello": TLS_HELLO,
        "TLS 1.2 hello": b"\x16\x03\x03" + TLS_HELLO[3:],
        "TLS alert": bytes.fromhex("15030300020228"),
        "TLS hello, 5 bytes of it": TLS_HELLO[:5],
        "TLS hello of 16 KiB announced": bytes.fromhex("1603014000") + bytes(200),
        "SSL 2.0": bytes.fromhex("802e0100020015000000100100800200800600400400800700c0") + bytes(20),
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "SMTP": b"EHLO localhost\r\n",
        "FTP": b"USER anonymous\r\n",
        "POP3": b"APOP x y\r\n",
        "IMAP": b"a1 LOGIN x y\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "memcached": b"stats\r\n",
        "MySQL": bytes.fromhex("2000000185a60f0000000001210000000000000000000000"),
        "MongoDB": struct.pack("<iiii", 58, 1, 0, 2004) + bytes(42),
        "SMB": bytes.fromhex("00000054ff534d4272000000") + bytes(72),
        "RDP": bytes.fromhex("030000130ee000000000000100080003000000"),
        "SOCKS 4": bytes.fromhex("04010050c0a8000100"),
        "SOCKS 5": bytes.fromhex("050100"),
        "PROXY v1": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GOOD,
        "PROXY v2": b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex("2111000c0102030405060708") + b"\0\1\0\2" + GOOD,
        "AMQP": b"AMQP\0\0\x09\1",
        "LDAP": bytes.fromhex("300c020101600702010304008000"),
        "DNS": bytes.fromhex("001d") + bytes(29),
        "MQTT": bytes.fromhex("101000044d5154540402003c000474657374"),
        "Kafka": struct.pack("!ihhih", 12, 18, 3, 1, 0),
        "telnet": bytes.fromhex("fffd18fffd20fffd23fffd27"),
        "a line of text": b"hello\n",
        "line ends": b"\r\n" * 100,
        "zeros": bytes(4096),
        "ones": b"\xff" * 4096,
        "1 MB of letters": b"A" * 1_000_000,
    }
    for name, sent in greetings.items():
        yield case(f"greeting: {name}", sent)
    for number in range(12):
        yield case(f"greeting: random bytes {number}", _random.randbytes(_random.choice((1, 3, 40, 3000))))


def _cancels() -> Iterator[Case]:
    for length in (0, 1, 2, 3, 4, 5, 7, 8, 16, 32, 255, 256, 257, 300, 1000, 9_988):
        body = struct.pack("!II", 80877102, 1) + b"k" * length
        yield case(f"CancelRequest with a key of {length} bytes", packet(body))
    for name, pid in (("0", 0), ("-1", 2**32 - 1), ("2^31", 2**31)):
        yield case(f"CancelRequest for process {name}", struct.pack("!IIII", 16, 80877102, pid, 7))
    yield case("CancelRequest without a process", struct.pack("!II", 8, 80877102))
    yield case("CancelRequest with half a process", struct.pack("!IIH", 10, 80877102, 1))
    yield case(
        "three CancelRequests in one piece", struct.pack("!IIII", 16, 80877102, 1, 1) * 3, reference="#822"
    )
    yield case("CancelRequest and reset", struct.pack("!IIII", 16, 80877102, 1, 1), end=End.RESET)
    yield case("half a CancelRequest", struct.pack("!III", 16, 80877102, 1))


def _halves() -> Iterator[Case]:
    for count in (0, 1, 2, 3, 4, 6, 8, 9, 14, 20, len(GOOD) - 2, len(GOOD) - 1):
        yield case(f"{count} bytes of a StartupMessage, FIN", GOOD[:count])
    for count in (0, 1, 4, 7, 8, len(GOOD) - 1, len(GOOD)):
        yield case(f"{count} bytes of a StartupMessage, reset", GOOD[:count], end=End.RESET)
    for count in (0, 3, 8, len(GOOD) - 1):
        yield case(f"{count} bytes of a StartupMessage, silence", GOOD[:count], end=End.SILENCE)
    yield case("a StartupMessage byte by byte", *(GOOD[at : at + 1] for at in range(len(GOOD))))
    yield case("a login, then FIN", GOOD)
    yield case("a login, then Terminate", GOOD + TERMINATE)
