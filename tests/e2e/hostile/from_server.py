"""What a server can say: malformed, oversized, unasked for, before the login, or not PostgreSQL at all."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from support.wire import AUTHENTICATION_OK, LOGIN, READY_IDLE, message

MEGABYTE = 1_000_000
_random = random.Random(5)


@dataclass(frozen=True)
class ServerCase:
    """What a server answers to the StartupMessage and, if it logs the client in, to its first query."""

    name: str
    login: bytes
    reply: bytes = b""
    reference: str | None = None

    @property
    def logs_in(self) -> bool:
        return self.login.endswith(READY_IDLE)


COLUMN = b"a\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0)
ROWS = message(b"T", struct.pack("!h", 1) + COLUMN)
DONE = message(b"C", b"SELECT 1\0") + READY_IDLE


def row(*values: bytes) -> bytes:
    return message(
        b"D", struct.pack("!h", len(values)) + b"".join(struct.pack("!i", len(v)) + v for v in values)
    )


def cases() -> Iterator[ServerCase]:
    for name, login in _logins().items():
        yield ServerCase(f"login: {name}", login, reference=_REFERENCES.get(name))
    for name, reply in _replies().items():
        yield ServerCase(f"reply: {name}", LOGIN, reply, reference=_REFERENCES.get(name))


_REFERENCES = {
    "a nonce of 1 MB": "CVE-2026-6665",
    "ErrorResponse without SQLSTATE": "CVE-2026-6666",
    "an error without SQLSTATE": "CVE-2026-6666",
    "D of length 2147483648": "CVE-2026-107348",
    "NegotiateProtocolVersion twice": "#1459",
    "bytes behind the answer to nothing": "CVE-2021-23222",
}


def _logins() -> dict[str, bytes]:
    sasl = struct.pack("!i", 10)
    key = message(b"K", struct.pack("!i", 7) + b"\1\2\3\4")
    found: dict[str, bytes] = {
        "nothing": b"",
        "one byte": b"R",
        "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "TLS alert": bytes.fromhex("15030300020228"),
        "the answer to an SSLRequest": b"N",
        "S, and plaintext behind": b"S" + LOGIN,
        "bytes behind the answer to nothing": b"N" + LOGIN,
        "zeros": bytes(1000),
        "ones": b"\xff" * 1000,
        "random bytes": _random.randbytes(5000),
        "rows before the login": ROWS + row(b"1") + DONE + LOGIN,
        "ReadyForQuery before the login": READY_IDLE + LOGIN,
        "ReadyForQuery and nothing before": READY_IDLE,
        "AuthenticationOk twice": AUTHENTICATION_OK + LOGIN,
        "BackendKeyData twice": AUTHENTICATION_OK + key * 2 + READY_IDLE,
        "BackendKeyData empty": AUTHENTICATION_OK + message(b"K") + READY_IDLE,
        "BackendKeyData of 3 bytes": AUTHENTICATION_OK + message(b"K", b"\1\2\3") + READY_IDLE,
        "BackendKeyData with a key of 256 bytes": AUTHENTICATION_OK + message(b"K", bytes(260)) + READY_IDLE,
        "BackendKeyData with a key of 257 bytes": AUTHENTICATION_OK + message(b"K", bytes(261)) + READY_IDLE,
        "BackendKeyData of 1 MB": AUTHENTICATION_OK + message(b"K", bytes(MEGABYTE)) + READY_IDLE,
        "NegotiateProtocolVersion": message(b"v", struct.pack("!ii", 0, 0)) + LOGIN,
        "NegotiateProtocolVersion twice": message(b"v", struct.pack("!ii", 0, 0)) * 2 + LOGIN,
        "NegotiateProtocolVersion with 2^31-1 options": message(b"v", struct.pack("!ii", 0, 2**31 - 1)) + LOGIN,
        "NegotiateProtocolVersion empty": message(b"v") + LOGIN,
        "an unknown method": message(b"R", struct.pack("!i", 99)),
        "a method of 2 bytes": message(b"R", b"\0\0"),
        "no method": message(b"R"),
        "a method of 1 MB": message(b"R", sasl + b"m" * MEGABYTE),
        "no mechanism": message(b"R", sasl + b"\0"),
        "a mechanism without its end": message(b"R", sasl + b"SCRAM-SHA-256"),
        "ten thousand mechanisms": message(b"R", sasl + b"SCRAM-SHA-256\0" * 10_000 + b"\0"),
        "a nonce of 1 MB": message(b"R", struct.pack("!i", 11) + b"r=" + b"r" * MEGABYTE + b",s=AA==,i=4096"),
        "two billion rounds": message(b"R", struct.pack("!i", 11) + b"r=x,s=AA==,i=2147483647"),
        "SASLFinal at once": message(b"R", struct.pack("!i", 12) + b"v=AAAA") + LOGIN,
        "a password in plain text asked for": message(b"R", struct.pack("!i", 3)),
        "md5 with 3 bytes of salt": message(b"R", struct.pack("!i", 5) + b"abc"),
        "an error": message(b"E", b"SFATAL\0VFATAL\0C28P01\0Mno\0\0"),
        "an error without SQLSTATE": message(b"E", b"SFATAL\0Mno\0\0"),
        "an error without its end": message(b"E", b"SFATAL\0C28P01"),
        "an empty error": message(b"E"),
        "an error of protocol 2": b"EFATAL:  no\n\0",
        "an error of 1 MB": message(b"E", b"SFATAL\0C28P01\0M" + b"m" * MEGABYTE + b"\0\0"),
        "an error, and a login behind it": message(b"E", b"SFATAL\0C28P01\0Mno\0\0") + LOGIN,
        "2,000 ParameterStatus": AUTHENTICATION_OK + message(b"S", b"a_setting\0a value\0") * 2000 + READY_IDLE,
        "2,000 different ParameterStatus": AUTHENTICATION_OK
        + b"".join(message(b"S", b"setting_%d\0%d\0" % (n, n)) for n in range(2000))
        + READY_IDLE,
        "ParameterStatus of 1 MB": AUTHENTICATION_OK
        + message(b"S", b"n\0" + b"v" * MEGABYTE + b"\0")
        + READY_IDLE,
        "ParameterStatus without a value": AUTHENTICATION_OK + message(b"S", b"application_name") + READY_IDLE,
        "2,000 notices": message(b"N", b"SNOTICE\0C00000\0Mhello\0\0") * 2000 + LOGIN,
        "half a message": AUTHENTICATION_OK + b"S\0\0\1\0half",
        "ReadyForQuery without a status": AUTHENTICATION_OK + message(b"Z") + message(b"Z", b"I"),
        "ReadyForQuery with an unknown status": AUTHENTICATION_OK + message(b"Z", b"?") + READY_IDLE,
    }
    for length in (0, 3, 4, 2**31 - 1, 2**31, 2**32 - 1):
        found[f"authentication of length {length}"] = b"R" + struct.pack("!I", length) + bytes(20)
    return found


def _replies() -> dict[str, bytes]:
    found: dict[str, bytes] = {
        "nothing": b"",
        "random bytes": _random.randbytes(50_000),
        "HTTP": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "ReadyForQuery without a status": message(b"Z"),
        "ReadyForQuery with an unknown status": message(b"Z", b"?"),
        "ReadyForQuery with two statuses": message(b"Z", b"IT"),
        "ReadyForQuery a thousand times": READY_IDLE * 1000,
        "CommandComplete without its end": message(b"C", b"SELECT 1") + READY_IDLE,
        "CommandComplete empty": message(b"C") + READY_IDLE,
        "CommandComplete of 1 MB": message(b"C", b"S" * MEGABYTE + b"\0") + READY_IDLE,
        "CommandComplete with a count beyond 64 bits": message(b"C", b"SELECT 99999999999999999999999\0")
        + READY_IDLE,
        "CommandComplete with a negative count": message(b"C", b"SELECT -1\0") + READY_IDLE,
        "CommandComplete not UTF-8": message(b"C", b"\xff\xfe \xfd\0") + READY_IDLE,
        "CommandComplete a thousand times": ROWS + message(b"C", b"SELECT 1\0") * 1000 + READY_IDLE,
        "CommandComplete with several NULs": message(b"C", b"SELECT\0 1\0\0") + READY_IDLE,
        "ErrorResponse without SQLSTATE": message(b"E", b"SERROR\0Mno state\0\0") + READY_IDLE,
        "ErrorResponse with a short SQLSTATE": message(b"E", b"C42\0\0") + READY_IDLE,
        "ErrorResponse with a long SQLSTATE": message(b"E", b"C42" + b"6" * 500 + b"\0\0") + READY_IDLE,
        "ErrorResponse with a SQLSTATE not ASCII": message(b"E", b"C\xff\xfe\xfd\xfc\xfb\0\0") + READY_IDLE,
        "ErrorResponse with two SQLSTATEs": message(b"E", b"C42601\0C42602\0\0") + READY_IDLE,
        "ErrorResponse with unknown fields": message(b"E", b"?x\0!y\0C42601\0\0") + READY_IDLE,
        "ErrorResponse without its end": message(b"E", b"SERROR") + READY_IDLE,
        "ErrorResponse empty": message(b"E") + READY_IDLE,
        "ErrorResponse of 1 MB": message(b"E", b"C42601\0M" + b"m" * MEGABYTE + b"\0\0") + READY_IDLE,
        "ErrorResponse a thousand times": message(b"E", b"C42601\0\0") * 1000 + READY_IDLE,
        "NoticeResponse empty": message(b"N") + ROWS + row(b"1") + DONE,
        "NotificationResponse cut short": message(b"A", b"\0\0") + ROWS + row(b"1") + DONE,
        "5,000 notifications": message(b"A", struct.pack("!i", 7) + b"channel\0payload\0") * 5000 + ROWS + DONE,
        "5,000 ParameterStatus": message(b"S", b"application_name\0x\0") * 5000 + ROWS + DONE,
        "ParameterStatus not UTF-8": message(b"S", b"application_name\0\xff\xfe\0") + ROWS + DONE,
        "BackendKeyData again": message(b"K", struct.pack("!i", 9) + b"\4\3\2\1") + ROWS + DONE,
        "a login again": LOGIN + ROWS + DONE,
        "authentication asked for again": message(b"R", struct.pack("!i", 3)) + ROWS + DONE,
        "RowDescription with 32,767 columns announced": message(b"T", b"\x7f\xff") + READY_IDLE,
        "RowDescription with a negative count": message(b"T", b"\xff\xff") + READY_IDLE,
        "RowDescription empty": message(b"T") + READY_IDLE,
        "RowDescription with half a column": message(b"T", b"\0\2" + COLUMN + b"b\0\0") + READY_IDLE,
        "RowDescription with a name without its end": message(b"T", b"\0\1" + b"n" * 500) + READY_IDLE,
        "RowDescription with a name of 1 MB": message(b"T", b"\0\1" + b"n" * MEGABYTE + COLUMN[1:])
        + row(b"1")
        + DONE,
        "RowDescription with 30,000 columns": message(b"T", struct.pack("!h", 30_000) + COLUMN * 30_000) + DONE,
        "RowDescription with bytes behind": message(b"T", b"\0\1" + COLUMN + b"junk") + row(b"1") + DONE,
        "RowDescription three times": ROWS * 3 + row(b"1") + DONE,
        "DataRow without RowDescription": row(b"1") * 10 + DONE,
        "DataRow with more columns": ROWS + row(*[b"1"] * 500) + DONE,
        "DataRow with fewer columns": ROWS + row() + DONE,
        "DataRow with a negative count": ROWS + message(b"D", b"\xff\xff") + DONE,
        "DataRow empty": ROWS + message(b"D") + DONE,
        "DataRow with a value longer than itself": ROWS
        + message(b"D", struct.pack("!hi", 1, 2**31 - 1) + b"x")
        + DONE,
        "DataRow with a value of -2 bytes": ROWS + message(b"D", struct.pack("!hi", 1, -2)) + DONE,
        "DataRow with bytes behind": ROWS + message(b"D", struct.pack("!hi", 1, 1) + b"xjunk") + DONE,
        "DataRow of 5 MB": ROWS + row(b"v" * 5 * MEGABYTE) + DONE,
        "50,000 empty rows": ROWS + row() * 50_000 + DONE,
        "ParseComplete nobody asked for": message(b"1") * 100 + ROWS + DONE,
        "BindComplete and CloseComplete nobody asked for": message(b"2") + message(b"3") + ROWS + DONE,
        "NoData nobody asked for": message(b"n") + ROWS + DONE,
        "PortalSuspended nobody asked for": message(b"s") + READY_IDLE,
        "ParameterDescription of 30,000": message(b"t", struct.pack("!h", 30_000) + bytes(120_000))
        + ROWS
        + DONE,
        "ParameterDescription that lies": message(b"t", b"\x7f\xff") + ROWS + DONE,
        "CopyInResponse nobody asked for": message(b"G", b"\0\0\0") + READY_IDLE,
        "CopyOutResponse cut short": message(b"H", b"\0") + READY_IDLE,
        "CopyBothResponse and rows": message(b"W", b"\0\0\0") + ROWS + DONE,
        "CopyData nobody asked for": message(b"d", b"x") * 1000 + message(b"c") + ROWS + DONE,
        "CopyDone twice": message(b"H", b"\0\0\0") + message(b"c") * 2 + DONE,
        "FunctionCallResponse nobody asked for": message(b"V", b"\xff\xff\xff\xff") + READY_IDLE,
        "FunctionCallResponse that lies": message(b"V", b"\x7f\xff\xff\xff") + READY_IDLE,
        "EmptyQueryResponse with a body": message(b"I", b"body") + READY_IDLE,
        "NegotiateProtocolVersion late": message(b"v", struct.pack("!ii", 0, 0)) + ROWS + DONE,
        "messages of a client": message(b"Q", b"SELECT 1\0") + message(b"S") + message(b"X") + ROWS + DONE,
        "FATAL and silence": message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0"),
        "FATAL, then on as if nothing was": message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0")
        + ROWS
        + row(b"1")
        + DONE,
        "half a message": b"D\0\0\1\0half",
        "half a header": b"D\0\0",
        "an unknown message of 1 MB": message(b"~", b"?" * MEGABYTE) + ROWS + DONE,
    }
    for tag in b"DZCETSKA":
        for length in (0, 3, 2**31 - 1, 2**31, 2**32 - 1):
            found[f"{chr(tag)} of length {length}"] = bytes([tag]) + struct.pack("!I", length) + bytes(200)
    unknown = [tag for tag in range(256) if tag not in b"RKZTCDIE12sntGHWNAvScdV3"]
    for tag in unknown[:: len(unknown) // 12]:
        found[f"unknown tag 0x{tag:02x}"] = message(bytes([tag]), b"future") + ROWS + row(b"1") + DONE
    return found
