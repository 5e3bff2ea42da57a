"""Law 4: no value leaves the process by default, whichever road it takes in and whichever way out is looked at.

Each road gets a canary of its own: a word, or a number, that stands nowhere else. Everything that the proxy writes or
answers is then searched for all of them. What its user has called something (tables, columns, roles, databases, the
application, a prepared statement's name in the slow log) is no value; that it is harmless is tested at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import re
import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from support.postgres import Address, Postgres
from support.proxy import Pgprism, command
from support.waiting import wait_until
from support.wire import PROTOCOL_3_0, SYNC, RawClient, ServerError, bind, describe, execute, message, parse, query

EVERYTHING = {"threshold": "0ms", "queries_per_second_max": 0, "queue_max": 100_000}


class Canaries:
    """Makes values that stand nowhere else, and finds them again."""

    def __init__(self) -> None:
        self.roads: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def word(self, road: str) -> str:
        """Letters only, so that it could be a word of any syntax."""
        n = next(self._numbers)
        letters = "".join(chr(ord("a") + int(digit)) for digit in f"{n:04d}")
        return self._known(road, f"kanari{letters}vogel")

    def number(self, road: str) -> str:
        return self._known(road, f"8147{next(self._numbers):05d}")

    def _known(self, road: str, value: str) -> str:
        assert road not in self.roads, road
        self.roads[road] = value
        return value

    def found_in(self, text: str) -> list[str]:
        """The roads whose canary is in `text`: as it is, in capitals, as hexadecimal digits."""
        lower = text.lower()
        return [
            road for road, value in self.roads.items() if value in lower or value.encode().hex() in lower
        ]


def statements(canaries: Canaries) -> dict[str, bytes]:
    """Texts that a server may or may not take, by the road on which their canary travels."""
    templates: dict[str, str] = {
        # Literals of every syntax.
        "plain string": "SELECT '{}'",
        "string with a doubled quote": "SELECT 'it''s {}'",
        "string with a backslash at its end": "SELECT 'C:\\{}\\'",
        "string continued on another line": "SELECT 'a'\n'{}'",
        "string behind a comment and a line": "SELECT 'a' -- x\n'{}'",
        "escape string": "SELECT E'{}'",
        "escape string with an escaped quote": "SELECT E'it\\'s {}'",
        "escape string continued": "SELECT E'a\\''\n'\\' {}'",
        "unicode string": "SELECT U&'{}'",
        "unicode string with UESCAPE": "SELECT U&'{}!0041' UESCAPE '!'",
        "national string": "SELECT N'{}'",
        "dollar quotes": "SELECT $${}$$",
        "dollar quotes with a tag": "SELECT $t${}$t$",
        "dollar quotes in dollar quotes": "SELECT $a$ $b$ {} $b$ $a$",
        "dollar quotes with a tag of 100 letters": "SELECT $" + "t" * 100 + "$ {} $" + "t" * 100 + "$",
        "typed literal": "SELECT text '{}'",
        "function as a type": "SELECT varchar(100) '{}'",
        "cast": "SELECT '{}'::text",
        "CAST": "SELECT CAST('{}' AS varchar(77))",
        "array literal": "SELECT '{{{}}}'::text[]",
        "ARRAY": "SELECT ARRAY['a', '{}']",
        "JSON": "SELECT '{{\"a\": \"{}\"}}'::jsonb -> 'a'",
        "JSON operator": "SELECT '{{}}'::jsonb ? '{}'",
        "row": "SELECT ROW(1, '{}')",
        "IN list": "SELECT 1 WHERE 'a' IN ('b', '{}', 'c')",
        "ANY": "SELECT 1 WHERE 'a' = ANY('{{{}}}')",
        "BETWEEN": "SELECT 1 WHERE 'a' BETWEEN 'a' AND '{}'",
        "LIKE": "SELECT relname FROM pg_class WHERE relname LIKE '%{}%' ESCAPE '!'",
        "VALUES": "VALUES (1, 'a'), (2, '{}')",
        "INSERT": "INSERT INTO kept (name) VALUES ('a'), ('{}')",
        "UPDATE": "UPDATE kept SET name = '{}' WHERE id = 0",
        "DELETE": "DELETE FROM kept WHERE name = '{}'",
        "ON CONFLICT": "INSERT INTO kept (id, name) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET name = '{}'",
        "RETURNING": "INSERT INTO kept (name) VALUES ('a') RETURNING '{}'",
        "CASE": "SELECT CASE WHEN 'a' = '{}' THEN 1 ELSE 2 END",
        "function's argument": "SELECT upper('{}')",
        "named argument": "SELECT make_interval(days => length('{}'))",
        "regular expression": "SELECT 'a' ~ '^{}$'",
        "common table expression": "WITH a AS (SELECT '{}' AS b) SELECT b FROM a",
        "multi-statement, first": "SELECT '{}'; SELECT 1",
        "multi-statement, last": "SELECT 1; SELECT '{}'",
        # Statements other than queries.
        "default of a column": "CREATE TABLE d1 (a text DEFAULT '{}')",
        "check of a column": "CREATE TABLE d2 (a text CHECK (a <> '{}'))",
        "partition bound": "CREATE TABLE d3 PARTITION OF d FOR VALUES IN ('{}')",
        "index predicate": "CREATE INDEX ON kept (id) WHERE name = '{}'",
        "enum label": "CREATE TYPE e1 AS ENUM ('a', '{}')",
        "view": "CREATE VIEW v1 AS SELECT '{}' AS a",
        "comment on": "COMMENT ON TABLE kept IS '{}'",
        "security label": "SECURITY LABEL ON TABLE kept IS '{}'",
        "SET with a string": "SET application_name_x.y = '{}'",
        "SET with a word": "SET kept.word = {}",
        "SET with a quoted name": "SET kept.quoted TO \"{}\"",
        "SET with several words": "SET search_path TO public, {}",
        "SET LOCAL": "SET LOCAL kept.local = {}",
        "SET SESSION": "SET SESSION kept.session TO {}",
        "SET TIME ZONE": "SET TIME ZONE '{}'",
        "set_config": "SELECT set_config('kept.config', '{}', false)",
        "ALTER ROLE SET": "ALTER ROLE nobody_there SET kept.role = {}",
        "ALTER DATABASE SET": "ALTER DATABASE nowhere SET kept.database TO {}",
        "ALTER SYSTEM SET": "ALTER SYSTEM SET no_such_setting = {}",
        "password of ALTER ROLE": "ALTER ROLE nobody_there PASSWORD '{}'",
        "password of CREATE USER": "CREATE USER raw PASSWORD '{}'",
        "password of CREATE ROLE, encrypted": "CREATE ROLE raw WITH LOGIN ENCRYPTED PASSWORD '{}' VALID UNTIL 'infinity'",
        "password of a subscription": "CREATE SUBSCRIPTION s CONNECTION 'password={}' PUBLICATION p",
        "password of a user mapping": "CREATE USER MAPPING FOR raw SERVER nowhere OPTIONS (password '{}')",
        "PREPARE": "PREPARE p1 AS SELECT '{}'",
        "EXECUTE": "PREPARE p2 (text) AS SELECT $1; EXECUTE p2('{}')",
        "name of PREPARE": "PREPARE {} AS SELECT 1",
        "name of EXECUTE": "EXECUTE {}",
        "name of DEALLOCATE": "DEALLOCATE {}",
        "name of a cursor": "DECLARE {} CURSOR WITH HOLD FOR SELECT 1",
        "query of a cursor": "BEGIN; DECLARE c1 CURSOR FOR SELECT '{}'; FETCH 1 FROM c1; COMMIT",
        "name of FETCH": "FETCH ALL FROM {}",
        "name of MOVE": "MOVE 1 IN \"{}\"",
        "name of CLOSE": "CLOSE {}",
        "savepoint": "BEGIN; SAVEPOINT {}; COMMIT",
        "ROLLBACK TO": "ROLLBACK TO SAVEPOINT {}",
        "RELEASE": "RELEASE {}",
        "PREPARE TRANSACTION": "PREPARE TRANSACTION '{}'",
        "COMMIT PREPARED": "COMMIT PREPARED '{}'",
        "COPY's options": "COPY kept FROM STDIN WITH (FORMAT csv, NULL '{}')",
        "COPY's query": "COPY (SELECT '{}') TO STDOUT",
        "COPY's program": "COPY kept FROM PROGRAM '{}'",
        "DO": "DO $$ BEGIN PERFORM '{}'; END $$",
        "DO with a string": "DO 'BEGIN PERFORM ''{}''; END'",
        "body of a function": "CREATE FUNCTION f1() RETURNS text LANGUAGE sql AS $$ SELECT '{}' $$",
        "body that is no string": "CREATE FUNCTION f2() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT '{}'; END",
        "argument's default": "CREATE FUNCTION f3(a text DEFAULT '{}') RETURNS text LANGUAGE sql AS 'SELECT 1'",
        "NOTIFY": "NOTIFY somewhere, '{}'",
        "pg_notify": "SELECT pg_notify('somewhere', '{}')",
        "RAISE": "DO $$ BEGIN RAISE NOTICE '{}'; RAISE EXCEPTION '{}'; END $$",
        "EXPLAIN": "EXPLAIN SELECT '{}'",
        "CALL": "CALL nothing('{}')",
        # Comments.
        "block comment": "SELECT /* {} */ 1",
        "line comment": "SELECT 1 -- {}\n + 1",
        "nested comment": "SELECT /* a /* {} */ b */ 1",
        "comment before": "/* {} */ SELECT 1",
        "comment at the end": "SELECT 1 /* {} */",
        "only a comment": "-- {}",
        "tag of no meaning": "SELECT 1 /*user_email='{}'*/",
        "request's id": "SELECT 1 /*request_id='{}'*/",
        "trace state": "SELECT 1 /*tracestate='a%3D{}'*/",
        "hint": "/*+ SeqScan({}) */ SELECT 1",
        # What is broken.
        "string that does not end": "SELECT 'a {}",
        "quote inside a string": "SELECT * FROM kept WHERE name = 'O'{}' AND id = 1",
        "quotes inside a string": "SELECT * FROM kept WHERE name = 'the '{}' word'",
        "quotes apart inside a string": "SELECT * FROM kept WHERE name = 'the ' {} ' word'",
        "statements inside a string": "SELECT 'it' s {}; and ' more; SELECT 1",
        "escape string that does not end": "SELECT E'a\\' {}",
        "unicode string that does not end": "SELECT U&'{}",
        "dollar quotes that do not end": "SELECT $a$ {} $b$",
        "comment that does not end": "SELECT 1 /* {}",
        "tag in a comment that does not end": "SELECT 1 /*route='{}'",
        "name that does not end": "SELECT \"a {}",
        "words for SQL": "tell me about {} please",
        "value without quotes": "SELECT * FROM kept WHERE name = {} Smith",
        "backslash quotes": "SELECT * FROM kept WHERE name = \\'{}\\'",
        "braces": "SELECT {{{}}}",
        "number with letters": "SELECT 12{}",
        "parameter with letters": "SELECT $1{}",
        "password without quotes": "ALTER ROLE raw PASSWORD {}",
        "comma for a dot": "SELECT 'a', FROM {}",
        "MySQL's set": "INSERT INTO kept SET name = {} kept",
    }
    found = {road: text.format(*[canaries.word(road)] * text.count("{}")).encode() for road, text in templates.items()}
    for road, template in {
        "integer": "SELECT {}",
        "negative number": "SELECT -{}",
        "decimal": "SELECT {}.5",
        "exponent": "SELECT {}e3",
        "hexadecimal digits": "SELECT 0x{}",
        "number in a comparison": "SELECT 1 WHERE 1 = {}",
        "LIMIT": "SELECT 1 LIMIT {}",
        "OFFSET": "SELECT 1 OFFSET {}",
        "FETCH FIRST": "SELECT 1 FETCH FIRST {} ROWS ONLY",
        "interval": "SELECT interval '{}' second",
        "date": "SELECT date '{}'",
        "SET with a number": "SET kept.number = {}",
        "sequence": "CREATE SEQUENCE s1 START {}",
        "column DEFAULT number": "CREATE TABLE d4 (a int DEFAULT {})",
        "UUID without quotes": "SELECT a0eebc99-9c0b-4ef8-bb6d-{}aab",
    }.items():
        found[road] = template.format(canaries.number(road)).encode()
    hexadecimal = canaries.word("byte string").encode().hex()
    found["byte string"] = f"SELECT X'{hexadecimal}'".encode()
    hexadecimal = canaries.word("bytea").encode().hex()
    found["bytea"] = f"SELECT '\\x{hexadecimal}'::bytea".encode()
    found["bit string"] = f"SELECT B'{int(canaries.number('bit string')):b}'".encode()
    found["invalid UTF-8"] = b"SELECT '\xff\xfe " + canaries.word("invalid UTF-8").encode() + b"'"
    found["invalid UTF-8 outside"] = b"SELECT \xff\xfe " + canaries.word("invalid UTF-8 outside").encode()
    found["behind a NUL"] = b"SELECT 1\0 '" + canaries.word("behind a NUL").encode() + b"'"
    found["string cut by a NUL"] = b"SELECT ' " + canaries.word("string cut by a NUL").encode() + b"\0'"
    found["behind 70 KB"] = b"SELECT '" + b"x" * 70_000 + canaries.word("behind 70 KB").encode() + b"'"
    found["behind 70 KB of names"] = (
        b"SELECT " + b"id, " * 20_000 + b"'" + canaries.word("behind 70 KB of names").encode() + b"' FROM kept"
    )
    return found


def send_raw(address: Address, texts: dict[str, bytes]) -> None:
    """Each text as a Query and as a Parse, on connections that are made anew where one of them ends."""
    with contextlib.ExitStack() as stack:

        def connect() -> RawClient:
            return stack.enter_context(RawClient(address.endpoint, database=address.database))

        client = connect()
        for text in texts.values():
            for messages in (
                message(b"Q", text + b"\0"),
                message(b"P", b"\0" + text + b"\0\0\0") + bind("", "") + execute("") + SYNC,
            ):
                try:
                    client.send(messages)
                    while True:
                        one = client.next()
                        if one.tag == b"G":
                            client.send(message(b"f", b"no\0") + (SYNC if messages[:1] == b"P" else b""))
                        if one.tag == b"Z":
                            break
                    if one.body != b"I":
                        client.ask("ROLLBACK")
                except (EOFError, OSError, ServerError):
                    client = connect()


def other_roads(address: Address, canaries: Canaries) -> None:
    """What needs more than a text: settings, encodings, parameters, rows, COPY, errors, cursors, logins."""
    word, number = canaries.word, canaries.number
    raw = address.as_user("raw")

    def session(**parameters: str) -> RawClient:
        return RawClient(raw.endpoint, database=raw.database, **parameters)

    # Backslashes escape: by the startup's options, by SET, in one batch with SET.
    with session(options="-c standard_conforming_strings=off -c escape_string_warning=off") as one:
        one.ask(rf"SELECT 'a\' {word('backslash, off at startup')} \' b'")
        one.ask(rf"SELECT 'a\'' AS x, ' {word('backslash, off at startup, two strings')} '")
    with session() as one:
        one.ask("SET standard_conforming_strings = off")
        one.ask(rf"SELECT 'a\' {word('backslash, off by SET')} \' b'")
        one.send(query("SET standard_conforming_strings = on") + query(rf"SELECT 'a\' AS b, '{word('on again')}'"))
        one.ready()
        one.until_ready()
        one.send(
            query("SET standard_conforming_strings = off")
            + query(rf"SELECT 'a\' || {word('off in the same packet')} || \' b'")
        )
        one.ready()
        one.until_ready()
    with session() as one:
        one.send(
            parse("", "SET standard_conforming_strings = off") + bind("", "") + execute("")
            + parse("", rf"SELECT 'a\' || {word('off in the same pipeline')} || \' b'") + bind("", "") + execute("")
            + SYNC
        )
        one.until_ready()
    # A character's second byte is a backslash, which escapes nothing.
    with session(client_encoding="SJIS") as one:
        for road in ("shift JIS", "shift JIS again"):
            one.send(message(b"Q", b"SELECT E'\x95\x5c', ' " + word(road).encode() + b" ', E'\x95\x5c'\0"))
            one.until_ready()
    # Parameters, in text and binary.
    with session() as one:
        one.send(
            parse("", "SELECT $1::text, $2::int") + bind("", "", word("text parameter").encode(),
                                                          number("number as a parameter").encode())
            + describe(b"P", "") + execute("") + SYNC
        )
        one.until_ready()
        value = int(number("binary parameter"))
        body = b"\0\0" + struct.pack("!hhh", 1, 1, 1) + struct.pack("!ii", 4, value) + struct.pack("!hh", 1, 1)
        one.send(parse("", "SELECT $1::int", (23,)) + message(b"B", body) + execute("") + SYNC)
        one.until_ready()
        one.send(parse("", "SELECT $1::int") + bind("", "", word("parameter of the wrong type").encode())
                 + execute("") + SYNC)
        one.until_ready()
        portal = word("name of a portal")
        one.send(parse("", "SELECT generate_series(1, 5)") + bind(portal, "") + execute(portal, 2)
                 + execute(portal, 2) + SYNC)
        one.until_ready()
        # COPY's data, good and bad.
        for road, ending in (("COPY data", b"\n"), ("bad COPY data", b"\tx\ty\n")):
            one.send(query("COPY kept (name) FROM STDIN"))
            while one.next().tag != b"G":
                pass
            one.send(message(b"d", word(road).encode() + ending) + message(b"c"))
            one.until_ready()
        one.send(query("COPY kept (name) FROM STDIN"))
        while one.next().tag != b"G":
            pass
        one.send(message(b"f", word("reason of a CopyFail").encode() + b"\0"))
        one.until_ready()
        one.ask("COPY kept TO STDOUT")
        # Errors that quote: a key that is there already, a value that is no number, a check.
        one.send(query(f"INSERT INTO once VALUES ('{word('unique violation')}'); "))
        one.until_ready()
        one.send(query(f"INSERT INTO once SELECT name FROM once WHERE name LIKE 'kanari%' OR name = '{word('again')}'"))
        one.until_ready()
        one.send(query(f"SELECT '{word('no number')}'::int"))
        one.until_ready()
        one.ask(f"LISTEN kept; NOTIFY kept, '{word('notification')}'")
        one.ask("SELECT 1")
        # Rows, small ones (whose keys are compared) and large ones.
        one.ask(f"INSERT INTO kept (id, name) VALUES ({number('key of a row')}, '{word('row in a table')}')")
        one.ask("SELECT id, name FROM kept")
        for n in range(5):
            one.ask(f"SELECT * FROM kept WHERE id = {number(f'key {n} of a loop')}")
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        rows = connection.execute("SELECT id, name FROM kept ORDER BY id LIMIT 5").fetchall()
        for row in rows:
            connection.execute("SELECT name FROM kept WHERE id = %s", [row[0]])
        connection.execute("SELECT %b::int4", [int(number("binary parameter of psycopg"))])
        with connection.cursor() as cursor, cursor.copy("COPY kept (id, name) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            copy.write_row([int(number("binary COPY, number")), word("binary COPY")])
    # Logins: passwords that are right or wrong, options and parameters that the server takes or refuses.
    for road in ("wrong password", "wrong password again"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(address.conninfo(password=word(road)))
    for road, parameters in {
        "startup option": {"options": f"-c kept.option={word('startup option')}"},
        "startup option that is refused": {"options": f"-c work_mem={word('startup option that is refused')}"},
        "startup parameter": {"kept.parameter": word("startup parameter")},
        "startup parameter nobody knows": {"nothing": word("startup parameter nobody knows")},
        "protocol option": {"_pq_.kept": word("protocol option")},
    }.items():
        with contextlib.suppress(ServerError, EOFError, OSError):
            session(**parameters).close()
    with socket.create_connection(address.endpoint, timeout=10) as one:
        body = struct.pack("!i", PROTOCOL_3_0) + b"user\0raw\0broken\0" + word("broken startup").encode()
        one.sendall(struct.pack("!i", len(body) + 4) + body)
        with contextlib.suppress(OSError):  # it may be refused before all is said
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass
    with socket.create_connection(address.endpoint, timeout=10) as one:
        one.sendall(f"GET /{word('no startup at all')} HTTP/1.1\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass
    # Cleartext and MD5, which only an old or odd server asks for.
    with session() as one:
        one.send(message(b"p", word("password message nobody asked for").encode() + b"\0"))
        one.rest()


class Stream:
    """Everything that `/api/v1/stream` says while this lives."""

    def __init__(self, proxy: Pgprism) -> None:
        self._parts: list[bytes] = []
        self._answer = urllib.request.urlopen(f"http://{proxy.admin[0]}:{proxy.admin[1]}/api/v1/stream", timeout=60)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while part := self._answer.read1(65536):
                self._parts.append(part)

    @property
    def text(self) -> str:
        return b"".join(self._parts).decode(errors="replace")


def outputs(proxy: Pgprism, stream: Stream) -> dict[str, str]:
    """All that the proxy says, by where it says it."""
    found = {"/metrics": proxy.get("/metrics").decode(), "own log": proxy.log_text(), "stream": stream.text}
    for path in ("summary", "connections", "history"):
        found[path] = json.dumps(proxy.api(path))
    for path, identity in (("queries", "fingerprint"), ("units", "id"), ("findings", "id")):
        items = proxy.items(path)
        found[path] = json.dumps(items)
        found[f"{path}, one by one"] = "".join(
            json.dumps(proxy.api(f"{path}/{item[identity]}")) for item in items if item[identity] != "other"
        )
    address = f"{proxy.admin[0]}:{proxy.admin[1]}"
    for form in ("text", "lines", "json", "markdown", "html"):
        found[f"report, {form}"] = command(
            "report", "--admin", f"http://{address}", "--limit", "1000", "--format", form
        ).stdout
    found["slow log"] = proxy.slow_log.read_text(errors="replace")
    for path in ("/api/v1/queries?sort=nothing", "/nothing", "/api/v1/queries/zz"):
        found[path] = str(proxy.status_of(path))
    return found


@pytest.fixture
def prepared(database) -> Iterator[Address]:
    with psycopg.connect(database.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id serial PRIMARY KEY, name text)")
        connection.execute("CREATE TABLE once (name text PRIMARY KEY)")
        connection.execute("ALTER SEQUENCE kept_id_seq RESTART WITH 1000")
    yield database


def drive(proxy: Pgprism, prepared: Address) -> tuple[Canaries, Stream]:
    canaries = Canaries()
    proxy.expect.decode_errors = proxy.expect.dropped_events = True
    stream = Stream(proxy)
    address = prepared.at(proxy.endpoint)
    send_raw(address, statements(canaries))
    other_roads(address, canaries)
    proxy.quiet()
    return canaries, stream


def assert_none(canaries: Canaries, said: dict[str, str]) -> None:
    leaks = {
        where: {road: excerpt(text, canaries.roads[road]) for road in canaries.found_in(text)}
        for where, text in said.items()
        if canaries.found_in(text)
    }
    assert not leaks, json.dumps(leaks, indent=1)


def excerpt(text: str, value: str) -> str:
    at = text.lower().find(value)
    return text[max(0, at - 100) : at + 60] if at >= 0 else "(as hexadecimal digits)"


@pytest.mark.smoke
@pytest.mark.parametrize("form", ["stderr", "json"])
def test_no_value_leaves_by_default(start_pgprism, postgres, prepared, form):
    proxy = start_pgprism(postgres.address.endpoint, log_level="trace", slow_log=EVERYTHING | {"format": form})
    canaries, stream = drive(proxy, prepared)
    assert len(canaries.roads) >= 100
    calls = sum(item["calls"] for item in proxy.queries().values())
    assert calls >= 200, "the roads were travelled"
    wait_until(lambda: proxy.slow_log.read_text(errors="replace").count("duration: ") >= calls, "all is logged")
    wait_until(lambda: proxy.api("summary")["units_open"] == 0, "all units ended")
    said = outputs(proxy, stream)
    # What is looked for would be found: names are there, and so is what is no value.
    for where in ("/metrics", "queries", "units, one by one", "stream", "slow log", "report, text", "report, json", "report, html"):
        assert "kept" in said[where], where
    assert_none(canaries, said)


def test_no_value_leaves_with_a_panic(start_pgprism, postgres, prepared):
    """The message of a panic may quote what the code was looking at: it is not logged."""
    proxy = start_pgprism(
        postgres.address.endpoint, log_level="trace", slow_log=EVERYTHING, faults=["observer-panic"]
    )
    canaries, stream = drive(proxy, prepared)
    said = outputs(proxy, stream)
    assert "panic: " in said["own log"]
    assert_none(canaries, said)


def test_no_password_leaves_whatever_the_server_asks_for(start_pgprism):
    """SCRAM has the other tests; here the password goes over the wire as it is, and as the hash that stands for it."""
    canaries = Canaries()
    with Postgres(16) as server:
        hba = server.data / "pg_hba.conf"
        methods = {"cleartext": "password", "hashed": "md5"}
        lines = [f"host all {role} 127.0.0.1/32 {method}" for role, method in methods.items()]
        hba.write_text("\n".join(lines) + "\n" + hba.read_text())
        for role in methods:
            password = canaries.word(f"{role} password")
            stored = "md5" + hashlib.md5(f"{password}{role}".encode()).hexdigest()
            canaries.roads[f"{role} password, hashed"] = stored.removeprefix("md5")
            server.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{stored}'")
        server.sql("SELECT pg_reload_conf()")
        proxy = start_pgprism(server.address.endpoint, log_level="trace", slow_log=EVERYTHING)
        stream = Stream(proxy)
        for role in methods:
            password = canaries.roads[f"{role} password"]
            address = server.address.as_user(role, password).at(proxy.endpoint)
            with psycopg.connect(address.conninfo(), autocommit=True) as connection:
                assert connection.pgconn.used_password
                connection.execute("CREATE TEMPORARY TABLE kept (id int)")
            wrong = canaries.word(f"{role} wrong password")
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(server.address.as_user(role, wrong).at(proxy.endpoint).conninfo())
        proxy.quiet()
        wait_until(lambda: proxy.api("summary")["units_open"] == 0, "all units ended")
        said = outputs(proxy, stream)
    assert "kept" in said["queries"]
    assert_none(canaries, said)


def test_literals_go_where_they_are_asked_for(start_pgprism, postgres, prepared):
    """`log_literals` names the slow log: it has them, and nothing else has."""
    proxy = start_pgprism(
        postgres.address.endpoint, log_level="trace", log_literals=True, slow_log=EVERYTHING
    )
    canaries, stream = drive(proxy, prepared)
    wait_until(
        lambda: canaries.roads["key 4 of a loop"] in proxy.slow_log.read_text(errors="replace"), "all is logged"
    )
    said = outputs(proxy, stream)
    shown = set(canaries.found_in(said.pop("slow log")))
    assert {"plain string", "integer", "string that does not end", "password of ALTER ROLE", "block comment"} <= shown
    apart = {
        "text parameter", "number as a parameter", "binary parameter", "COPY data", "wrong password", "startup option",
        "reason of a CopyFail", "name of a portal", "behind a NUL", "protocol option",
    }
    assert not apart & shown, "what is sent apart from the text is never written"
    assert_none(canaries, said)


NASTY = "<b>&\"'`|\\ %s {} [1]: db=x,\t\x1b[31m\x07 line\nLOG:  duration: 1.0 ms  statement: forged"


@pytest.mark.parametrize("form", ["stderr", "json"])
def test_names_from_outside_are_harmless_and_bounded(start_pgprism, postgres, form):
    """A database, an application and a route that would break each format they are shown in."""
    name = NASTY[:60]
    with psycopg.connect(postgres.address.conninfo(), autocommit=True) as direct:
        direct.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING | {"format": form})
        tag = "".join(f"%{byte:02X}" for byte in (NASTY + "x" * 1000).encode())
        with RawClient(proxy.endpoint, database=name, application_name=NASTY + "y" * 500) as one:
            for n in range(6):
                one.ask(f"SELECT {n} AS named /*route='{tag}',controller='{tag}'*/")
            one.ask("SET application_name = '" + "z" * 5000 + "'")
            one.ask("SELECT 1 AS named")
            check_names(proxy, form)
    finally:
        with psycopg.connect(postgres.address.conninfo(), autocommit=True) as direct:
            direct.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def check_names(proxy: Pgprism, form: str) -> None:
    proxy.shape("SELECT 1 AS named", calls=7)
    wait_until(lambda: proxy.slow_log.read_text().count("duration: ") >= 7, "all is logged")
    # Prometheus' text: every line is a sample or a comment (the reader refuses others), no name longer than it may be.
    scrape = proxy.metrics()
    longest = max(len(value) for sample in scrape.samples for _, value in sample.labels)
    assert longest <= 512, "bounded"
    assert any(sample.label("db_namespace").startswith("<b>&") for sample in scrape.samples)
    # JSON, by a reader that refuses control characters in strings.
    for path in ("summary", "connections", "units", "queries"):
        json.loads(proxy.get(f"/api/v1/{path}"), strict=True)
    (connection,) = proxy.connections()
    assert len(connection["application"]) <= 64
    # The slow log: each line is whole, none is forged.
    for line in proxy.slow_log.read_text().splitlines():
        if form == "json":
            assert json.loads(line, strict=True)["error_severity"] == "LOG"
        else:
            assert re.match(r"\d{4}-\d\d-\d\d [\d:.]+ UTC \[\d+\]: \[\d+-1\] user=raw,db=", line) or line[0] == "\t", line
            assert line.count("LOG:  duration: ") <= 1 or "statement: forged" not in line.split("LOG:  duration: ")[0]
    # Reports: nothing that a terminal obeys, no line of its own.
    address = f"http://{proxy.admin[0]}:{proxy.admin[1]}"
    for arguments in ([], ["--markdown"], ["--format", "lines"], ["--format", "html"]):
        text = command("report", "--admin", address, *arguments).stdout
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), arguments
        assert not any(line.startswith("LOG:") for line in text.splitlines())
    json.loads(command("report", "--admin", address, "--json").stdout, strict=True)
