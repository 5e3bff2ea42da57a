"""What a client can say once it is logged in: lengths that lie, messages cut short, too many, or out of turn."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from support.wire import (
    FLUSH,
    SYNC,
    TERMINATE,
    bind,
    close,
    describe,
    execute,
    message,
    parse,
    query,
    startup,
    text,
)

from .case import Case, End, Likeness, case

FRONTEND_TAGS = b"QPBDECSHFdcfpX"
COPY_IN = query("COPY sink FROM STDIN")
"""`sink` is a table of one text column that the test makes."""
COPY_DONE = message(b"c")


def copy_data(data: bytes) -> bytes:
    return message(b"d", data)


def cases() -> Iterator[Case]:
    for maker in (_lengths, _unknown_tags, _halves, _malformed, _wrong_state, _copies, _floods, _statements):
        for one in maker():
            yield Case(one.name, one.steps, one.end, one.likeness, logged_in=True, reference=one.reference)


def _lengths() -> Iterator[Case]:
    for tag in FRONTEND_TAGS:
        for length in (0, 1, 2, 3, 4, 2**30, 2**31 - 1, 2**31, 2**32 - 1):
            reference = {2**31: "CVE-2026-107348", 2**32 - 1: "CVE-2026-6664"}.get(length)
            sent = bytes([tag]) + struct.pack("!I", length) + (bytes(40) if length > 4 else b"")
            yield case(f"{chr(tag)} of length {length}", sent, reference=reference)
    for tag in b"DECSHcfpX":
        likeness = Likeness.ENDED if tag in b"SHcfX" else Likeness.BYTES
        yield case(
            f"{chr(tag)} of 20,000 bytes", message(bytes([tag]), b"a" * 20_000) + SYNC, likeness=likeness
        )


def _unknown_tags() -> Iterator[Case]:
    unknown = [tag for tag in range(256) if tag not in FRONTEND_TAGS]
    for tag in unknown[:: len(unknown) // 40]:
        yield case(f"unknown tag 0x{tag:02x}", message(bytes([tag]), b"what is this"))
    yield case("a StartupMessage", startup("raw", "postgres"))
    yield case(
        "every tag of a server", b"".join(message(bytes([tag]), b"x") for tag in b"RKZTCDIE12sntGHWNAvS")
    )


def _halves() -> Iterator[Case]:
    for tag in FRONTEND_TAGS:
        yield case(f"half a header of {chr(tag)}", bytes([tag]) + b"\0\0")
        yield case(f"half of {chr(tag)}", bytes([tag]) + struct.pack("!I", 104) + b"half")
        yield case(f"half of {chr(tag)}, reset", bytes([tag]) + struct.pack("!I", 104) + b"half", end=End.RESET)
    yield case("half a Query, silence", b"Q\0\0\1\0SELECT", end=End.SILENCE)
    yield case("half a Parse behind whole ones", parse("", "SELECT 1") + SYNC + b"P\0\0\1\0")


def _malformed() -> Iterator[Case]:
    long = b"x" * 70_000
    bodies: dict[bytes, dict[str, bytes]] = {
        b"Q": {
            "empty": b"",
            "without its NUL": b"SELECT 1",
            "a NUL inside": b"SELECT 1\0SELECT 2\0",
            "two NULs": b"SELECT 1\0\0",
            "not UTF-8": b"SELECT '\xff\xfe'\0",
            "half a character": b"SELECT 'caf\xc3'\0",
            "a surrogate": b"SELECT '\xed\xa0\x80'\0",
            "only NUL": b"\0",
            "only blanks": b"  \t\n \0",
        },
        b"P": {
            "empty": b"",
            "a name without its NUL": b"name",
            "no statement": b"name\0",
            "a statement without its NUL": b"\0SELECT 1",
            "no count": b"\0SELECT 1\0",
            "half a count": b"\0SELECT 1\0\0",
            "32,767 types announced": b"\0SELECT 1\0\x7f\xff",
            "a negative count": b"\0SELECT 1\0\xff\xff",
            "a type that does not exist": b"\0SELECT $1\0\0\1\xff\xff\xff\xff",
            "half a type": b"\0SELECT $1\0\0\1\0\0",
            "bytes behind": b"\0SELECT 1\0\0\0junk",
            "a name of 70,000 bytes": long + b"\0SELECT 1\0\0\0",
            "a name that is not UTF-8": b"\xff\xfe\0SELECT 1\0\0\0",
            "two statements": b"\0SELECT 1; SELECT 2\0\0\0",
            "an empty statement": b"\0\0\0\0",
            "parameter 65,536": b"\0SELECT $65536\0\0\0",
            "parameter 0": b"\0SELECT $0\0\0\0",
            "parameter beyond 32 bits": b"\0SELECT $4294967297\0\0\0",
        },
        b"B": {
            "empty": b"",
            "names only": b"\0\0",
            "half a count": b"\0\0\0",
            "a negative count of formats": b"\0\0\xff\xff",
            "formats announced, none there": b"\0\0\0\5",
            "a negative count of values": b"\0\0\0\0\xff\xff",
            "values announced, none there": b"\0\0\0\0\0\3",
            "a value longer than the message": b"\0\0\0\0\0\1\x7f\xff\xff\xff",
            "a value of -2 bytes": b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0",
            "an unknown format": b"\0\0\0\1\0\7\0\0\0\0",
            "no count of result formats": b"\0\0\0\0\0\0",
            "32,767 result formats announced": b"\0\0\0\0\0\0\x7f\xff",
            "an unknown result format": b"\0\0\0\0\0\0\0\1\0\x09",
            "bytes behind": b"\0\0\0\0\0\0\0\0junk",
            "a statement that does not exist": b"\0nobody\0\0\0\0\0\0\0",
            "a portal of 70,000 bytes": long + b"\0\0\0\0\0\0\0\0",
            "too many values": b"\0\0\0\0\0\2\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
        },
        b"D": {
            "empty": b"",
            "an unknown kind": b"?\0",
            "no NUL": b"Sname",
            "nobody": b"Pnobody\0",
            "behind": b"S\0junk",
        },
        b"E": {
            "empty": b"",
            "no row limit": b"\0",
            "half a row limit": b"\0\0\0",
            "a negative row limit": b"\0\xff\xff\xff\xff",
            "bytes behind": b"\0\0\0\0\0junk",
            "nobody": b"nobody\0\0\0\0\0",
        },
        b"C": {
            "empty": b"",
            "an unknown kind": b"?\0",
            "no NUL": b"Sname",
            "nobody": b"Pnobody\0",
            "behind": b"S\0junk",
        },
        b"S": {"a body": b"body"},
        b"H": {"a body": b"body"},
        b"F": {
            "empty": b"",
            "a function that does not exist": struct.pack("!Ihhh", 4_000_000_000, 0, 0, 0),
            "no arguments where some are needed": struct.pack("!Ihhh", 1317, 0, 0, 0),
            "arguments announced, none there": struct.pack("!Ihh", 1317, 0, 9),
            "a negative count": struct.pack("!Ihhh", 1317, 0, -1, 0),
            "an argument longer than the message": struct.pack("!Ihhih", 1317, 0, 1, 2**31 - 1, 0),
            "an unknown format": struct.pack("!Ihhhih", 1317, 1, 9, 1, -1, 0),
        },
        b"p": {"a password": b"secret\0", "a SASL answer": b"c=biws,r=x,p=y"},
        b"X": {"a body": b"body"},
    }
    for tag, by_name in bodies.items():
        for name, body in by_name.items():
            prepared = parse("", "SELECT 1") if tag == b"B" else b""
            yield case(
                f"{tag.decode()}: {name}", prepared + message(tag, body) + SYNC + query("SELECT 'after'")
            )


def _wrong_state() -> Iterator[Case]:
    good = parse("", "SELECT 1") + bind("", "") + execute("")
    orders: dict[str, bytes] = {
        "Bind before any Parse": bind("", "") + SYNC,
        "Execute before any Bind": execute("") + SYNC,
        "Describe of nothing": describe(b"S", "") + SYNC,
        "Execute of a portal that was closed": parse("", "SELECT 1")
        + bind("p", "")
        + close(b"P", "p")
        + execute("p")
        + SYNC,
        "Execute of a portal after its Sync": parse("", "SELECT 1")
        + bind("p", "")
        + SYNC
        + execute("p")
        + SYNC,
        "the same name twice": parse("s", "SELECT 1") + parse("s", "SELECT 2") + SYNC,
        "the same portal twice": parse("", "SELECT 1") + bind("p", "") + bind("p", "") + SYNC,
        "Execute twice of one portal": good + execute("") + SYNC,
        "Close of what was never there": close(b"S", "x") + close(b"P", "y") + SYNC,
        "everything after an error up to Sync": query("SELEC")
        + bind("", "x")
        + good * 50
        + SYNC
        + query("SELECT 1"),
        "errors in each of three groups": (parse("", "SELEC") + good + SYNC) * 3,
        "no Sync at all": good,
        "Flush in place of Sync": good + FLUSH,
        "a Query in the middle of a group": good + query("SELECT 2 AS between") + good + SYNC,
        "a Query after an error, before its Sync": parse("", "SELEC") + query("SELECT 'skipped'") + SYNC,
        "Terminate in the middle of a group": good + TERMINATE,
        "talk behind Terminate": TERMINATE + query("SELECT 1"),
        "transactions that do not end": query("BEGIN") * 5 + query("SELECT nothing") + query("SELECT 1"),
        "savepoints without a transaction": query("SAVEPOINT a") + query("ROLLBACK TO a"),
        "portals nested over a cursor": query("BEGIN")
        + parse("s", "SELECT generate_series(1, 9)")
        + b"".join(bind(f"p{n}", "s") for n in range(60))
        + b"".join(execute(f"p{n % 60}", 1) for n in range(300))
        + SYNC,
        "a cursor closed by its own name as a portal": query("BEGIN; DECLARE c CURSOR FOR SELECT 1")
        + execute("c", 1)
        + close(b"P", "c")
        + execute("c", 1)
        + SYNC,
        "EXECUTE of a statement of the protocol": parse("s", "SELECT 7") + SYNC + query("EXECUTE s"),
        "Bind of a statement of SQL": query("PREPARE q AS SELECT 8") + bind("", "q") + execute("") + SYNC,
        "DISCARD ALL under a named statement": parse("s", "SELECT 1")
        + SYNC
        + query("DISCARD ALL")
        + bind("", "s")
        + SYNC,
    }
    for name, sent in orders.items():
        yield case(f"order: {name}", sent)


def _copies() -> Iterator[Case]:
    end = SYNC + query("SELECT 'after'")
    talks: dict[str, bytes] = {
        "CopyData outside": copy_data(b"x") * 100 + query("SELECT 1"),
        "CopyDone outside": COPY_DONE + query("SELECT 1"),
        "CopyFail outside": message(b"f", b"no\0") + query("SELECT 1"),
        "all three outside, then COPY": copy_data(b"x")
        + COPY_DONE
        + message(b"f", b"no\0")
        + COPY_IN
        + COPY_DONE,
        "a Query inside": COPY_IN + query("SELECT 1"),
        "a Parse inside": COPY_IN + parse("", "SELECT 1") + SYNC,
        "Sync and Flush inside": COPY_IN + SYNC + FLUSH + copy_data(b"a\n") + COPY_DONE,
        "CopyFail": COPY_IN + copy_data(b"a\n") + message(b"f", b"changed my mind\0") + end,
        "CopyFail without its NUL": COPY_IN + message(b"f", b"no") + end,
        "CopyFail empty": COPY_IN + message(b"f") + end,
        "CopyDone with a body": COPY_IN + message(b"c", b"body") + end,
        "CopyDone twice": COPY_IN + COPY_DONE + COPY_DONE + end,
        "CopyData behind CopyDone": COPY_IN + COPY_DONE + copy_data(b"late\n") + end,
        "CopyData empty, a thousand times": COPY_IN + copy_data(b"") * 1000 + COPY_DONE,
        "one byte a message": COPY_IN
        + b"".join(copy_data(bytes([byte])) for byte in b"abc\n" * 300)
        + COPY_DONE,
        "the end mark and more behind it": COPY_IN + copy_data(b"a\n\\.\nb\n") + COPY_DONE,
        "not UTF-8": COPY_IN + copy_data(b"\xff\xfe\n") + COPY_DONE + end,
        "a NUL": COPY_IN + copy_data(b"a\0b\n") + COPY_DONE + end,
        "too many columns": COPY_IN + copy_data(b"a\tb\tc\n") + COPY_DONE + end,
        "length 0 inside": COPY_IN + b"d\0\0\0\0",
        "length 3 inside": COPY_IN + b"d\0\0\0\3",
        "length 2^31 inside": COPY_IN + b"d\x80\0\0\0" + bytes(100),
        "length 2^31-1 inside": COPY_IN + b"d\x7f\xff\xff\xff" + bytes(100),
        "an unknown tag inside": COPY_IN + message(b"~", b"x"),
        "Terminate inside": COPY_IN + copy_data(b"a\n") + TERMINATE,
        "FIN inside": COPY_IN + copy_data(b"a\n"),
        "binary without a header": query("COPY sink FROM STDIN (FORMAT binary)")
        + copy_data(b"junk")
        + COPY_DONE
        + end,
        "binary with a field of 2 GiB": query("COPY sink FROM STDIN (FORMAT binary)")
        + copy_data(b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1\x7f\xff\xff\xff")
        + COPY_DONE
        + end,
        "extended, without Sync": parse("", "COPY sink FROM STDIN") + bind("", "") + execute("") + COPY_DONE,
        "extended, with Sync before the data": parse("", "COPY sink FROM STDIN")
        + bind("", "")
        + execute("")
        + SYNC
        + copy_data(b"a\n")
        + COPY_DONE
        + SYNC,
        "two COPYs in one Query": query("COPY sink FROM STDIN; COPY sink FROM STDIN")
        + (copy_data(b"a\n") + COPY_DONE) * 2,
        "COPY out while the client talks": query("COPY (SELECT generate_series(1, 2000)) TO STDOUT")
        + copy_data(b"x") * 50
        + end,
        "COPY of nothing": query("COPY sink TO STDOUT") + end,
        "COPY of a table that is not there": query("COPY nowhere FROM STDIN")
        + copy_data(b"a\n")
        + COPY_DONE
        + end,
    }
    for name, sent in talks.items():
        yield case(f"COPY: {name}", query("TRUNCATE sink") + sent)


def _floods() -> Iterator[Case]:
    yield case("10,000 Syncs", SYNC * 10_000)
    yield case("70,000 Syncs: more than a session remembers", SYNC * 70_000)
    yield case("20,000 Flushes", FLUSH * 20_000 + SYNC)
    yield case("3,000 Parses without a Sync", b"".join(parse(f"s{n}", "SELECT 1") for n in range(3000)))
    yield case("3,000 Parses of one name", parse("", "SELECT 1") * 3000 + SYNC)
    yield case(
        "2,000 portals",
        query("BEGIN") + parse("", "SELECT 1") + b"".join(bind(f"p{n}", "") for n in range(2000)) + SYNC,
    )
    yield case("5,000 Closes of nothing", close(b"S", "nobody") * 5000 + SYNC)
    yield case("2,000 queries in one piece", query("SELECT 1") * 2000)
    yield case("5,000 statements in one Query", query("SELECT 1;" * 5000))
    yield case("20,000 semicolons", query(";" * 20_000))
    yield case("1,000 errors", query("SELEC") * 1000)
    yield case("1,000 notices", query("DO $$BEGIN FOR i IN 1..1000 LOOP RAISE NOTICE '%', i; END LOOP; END$$"))
    yield case(
        "300 changes of application_name", b"".join(query(f"SET application_name = 'n{n}'") for n in range(300))
    )
    yield case(
        "one byte a packet",
        *(bytes([byte]) for byte in parse("", "SELECT 1") + bind("", "") + execute("") + SYNC),
    )


def _statements() -> Iterator[Case]:
    numbers = ", ".join(f"({n}, {n})" for n in range(5_000))
    texts: dict[str, str] = {
        "10,000 brackets deep": "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
        "10,000 brackets open": "SELECT " + "(" * 10_000,
        "3,000 ANDs": "SELECT 1 WHERE " + " AND ".join(["1 = 1"] * 3_000),
        "4,000 comments nested": "SELECT 1 " + "/*" * 4_000 + "*/" * 4_000,
        "4,000 comments open": "SELECT 1 " + "/*" * 4_000,
        "a list of 5,000 rows": f"SELECT 1 WHERE (1, 2) IN ({numbers})",
        "300 unions": " UNION ALL ".join(["SELECT 1"] * 300),
        "100 NOTs": "SELECT " + "NOT " * 100 + "true",
        "a literal that does not end": "SELECT 'no end",
        "an identifier that does not end": 'SELECT "no end',
        "a dollar quote that does not end": "SELECT $tag$ no end $tug$",
        "dollar quotes inside each other": "SELECT $a$ $b$ $c$ $b$ $a$",
        "an escape string cut short": "SELECT E'\\",
        "a Unicode escape out of range": "SELECT U&'\\+FFFFFF'",
        "half a surrogate pair": "SELECT U&'\\D800'",
        "another escape character": "SELECT U&'d!0061t!+000061' UESCAPE '!'",
        "a bad hexadecimal string": "SELECT X'GG'",
        "numbers that are none": "SELECT 1e, 0x, 1_, 12abc",
        "an identifier of 100,000 bytes": f"SELECT 1 AS {'i' * 100_000}",
        "operators without end": "SELECT 1 " + "@" * 5_000 + " 2",
        "a literal of 1 MB": f"SELECT length('{'x' * 1_000_000}')",
        "a statement of 2 MB of blanks": "SELECT" + " " * 2_000_000 + "1",
        "right-to-left and zero-width marks": "SELECT '\u202e\u200b' AS \"\u2066x\"",
        "control characters": "SELECT '\x01\x02\x1b[2J'",
        "COPY in the middle": "SELECT 1; COPY (SELECT 1) TO STDOUT; SELECT 2",
        "its own session ended": "SELECT pg_terminate_backend(pg_backend_pid())",
        "a password": "ALTER ROLE nobody_here PASSWORD 'secret'",
        "1,600 columns": "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1_600)),
        "1,665 columns: one more than there may be": "SELECT " + ", ".join("1" for _ in range(1_665)),
        "a value of 1 MB back": "SELECT repeat('y', 1000000)",
    }
    for name, sql in texts.items():
        yield case(f"statement: {name}", message(b"Q", text(sql)) + query("SELECT 'after'"))
    values = [b"7"] * 1000
    numbered = "SELECT " + " + ".join(f"${n}::int" for n in range(1, 1001))
    yield case("1,000 parameters", parse("", numbered) + bind("", "", *values) + execute("") + SYNC)
