"""Clients that write down what they were promised, and the comparison with what the database has."""

from __future__ import annotations

import asyncio
import enum
import itertools
import threading
import time
from dataclasses import dataclass, field

import psycopg

from support.postgres import Address
from support.waiting import wait_until

STATEMENT_LIMIT_S = 15.0
CONNECT_LIMIT_S = 5.0
ROWS_A_TRANSACTION = 3
TRANSACTIONS_A_SESSION = 25
"""Then the client connects anew, as Django does at the end of `CONN_MAX_AGE`."""


class Fate(enum.Enum):
    """What a client knows of its transaction."""

    UNDONE = "it was not committed: the client never asked for it, or was told so"
    UNKNOWN = "the connection was lost while COMMIT was on its way"
    COMMITTED = "COMMIT was acknowledged"


@dataclass
class Entry:
    """One transaction of the ledger."""

    ids: list[int]
    fate: Fate = Fate.UNDONE


@dataclass
class Ledger:
    """What all clients of one run were promised."""

    table: str
    entries: list[Entry] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)
    lost_sessions: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    last_commit_at: float = 0.0
    longest_gap_s: float = 0.0

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)

    def entry(self) -> Entry:
        one = Entry([next(self._ids) for _ in range(ROWS_A_TRANSACTION)])
        self.entries.append(one)
        return one

    def token(self, number: int) -> str:
        """What stands beside a row's id, here and in no other ledger."""
        return f"{self.table}:{number}:{number * 2654435761 % 2**32:08x}"

    def committed(self) -> None:
        now = time.monotonic()
        if self.last_commit_at:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_commit_at)
        self.last_commit_at = now

    def commits(self) -> int:
        return sum(one.fate is Fate.COMMITTED for one in self.entries)

    def note(self, error: BaseException) -> None:
        reason = _reason(error)
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


# libpq's own words for ends without an SQLSTATE.
_WORDS = {
    "Connection refused": "nobody listens",
    "pgprism: ": "refused by pgprism",
    "FATAL": "refused at login",
    "closed the connection": "closed without a word",
    "Connection reset": "reset",
    "connection is closed": "closed without a word",
    "connection is lost": "closed without a word",
}


def _reason(error: BaseException) -> str:
    if state := getattr(error, "sqlstate", None):
        return state
    text = str(error)
    return next((reason for words, reason in _WORDS.items() if words in text), type(error).__name__)


@dataclass(frozen=True)
class Balance:
    """A ledger compared with the table."""

    committed: int
    lost: int
    duplicated: int
    crossed: int
    undone_but_there: int
    unknown_there: int
    unknown_absent: int
    torn: int
    """Transactions of which some rows are there and some are not."""
    lost_sessions: int
    refused: int
    longest_gap_s: float

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.crossed or self.undone_but_there or self.torn)


def balance(ledger: Ledger, direct: Address) -> Balance:
    """Compares the ledger with the table, past any proxy."""
    with psycopg.connect(direct.conninfo()) as connection:
        rows = connection.execute(f"SELECT id, token FROM {ledger.table}").fetchall()  # type: ignore[arg-type]
    there: dict[int, int] = {}
    foreign = 0
    for number, token in rows:
        there[number] = there.get(number, 0) + 1
        foreign += token != ledger.token(number)
    by_fate: dict[Fate, list[int]] = {fate: [] for fate in Fate}
    torn = 0
    for entry in ledger.entries:
        present = sum(number in there for number in entry.ids)
        torn += 0 < present < len(entry.ids)
        by_fate[entry.fate].append(present)
    known = {number for entry in ledger.entries for number in entry.ids}
    return Balance(
        committed=len(by_fate[Fate.COMMITTED]),
        lost=sum(present < ROWS_A_TRANSACTION for present in by_fate[Fate.COMMITTED]),
        duplicated=sum(count > 1 for count in there.values()),
        crossed=len(ledger.crossed) + foreign + len(there.keys() - known),
        undone_but_there=sum(present > 0 for present in by_fate[Fate.UNDONE]),
        unknown_there=sum(present > 0 for present in by_fate[Fate.UNKNOWN]),
        unknown_absent=sum(present == 0 for present in by_fate[Fate.UNKNOWN]),
        torn=torn,
        lost_sessions=ledger.lost_sessions,
        refused=ledger.refused,
        longest_gap_s=ledger.longest_gap_s,
    )


class Clients:
    """`count` clients at `address`, each with one session at a time, until the end of the `with` block."""

    def __init__(self, ledger: Ledger, address: Address, count: int = 8, pause_s: float = 0.004) -> None:
        self.ledger = ledger
        self._address, self._count, self._pause_s = address, count, pause_s
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def wait_commits(self, more: int, deadline_s: float = 60.0) -> None:
        """Until so many more transactions were acknowledged."""
        wanted = self.ledger.commits() + more
        wait_until(
            lambda: self._failure or self.ledger.commits() >= wanted,
            f"{more} more commits; refused or lost so far: {self.ledger.reasons}",
            deadline_s=deadline_s,
            every_s=0.02,
        )
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:  # told to the main thread
            self._failure = error

    async def _all(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self._count)))

    async def _client(self, number: int) -> None:
        while not self._ended.is_set():
            try:
                connection = await asyncio.wait_for(
                    psycopg.AsyncConnection.connect(self._address.conninfo(sslmode="disable"), autocommit=True),
                    CONNECT_LIMIT_S,
                )
            except (psycopg.Error, asyncio.TimeoutError) as error:
                self.ledger.refused += 1
                self.ledger.note(error)
                await asyncio.sleep(0.02)
                continue
            try:
                for _ in range(TRANSACTIONS_A_SESSION):
                    if self._ended.is_set():
                        break
                    await asyncio.wait_for(self._transaction(connection, number), STATEMENT_LIMIT_S)
                    await asyncio.sleep(self._pause_s)
            except (psycopg.Error, asyncio.TimeoutError) as error:
                self.ledger.lost_sessions += 1
                self.ledger.note(error)
            finally:
                await connection.close()

    async def _transaction(self, connection: psycopg.AsyncConnection, client: int) -> None:
        """Writes rows, has them read back, asks for a token of its own and for an old row, commits."""
        ledger, entry = self.ledger, self.ledger.entry()
        await connection.execute("BEGIN")
        for number in entry.ids:
            mine = (number, ledger.token(number))
            written = await connection.execute(
                f"INSERT INTO {ledger.table} VALUES (%s, %s) RETURNING id, token",  # type: ignore[arg-type]
                mine,
            )
            self._expect(await written.fetchall(), [mine])
        question = f"client {client} asks for {entry.ids[0]}"
        echoed = await connection.execute("SELECT %s::text", (question,))
        self._expect(await echoed.fetchall(), [(question,)])
        old = ledger.entries[entry.ids[0] * 7919 % len(ledger.entries)]
        if old.fate is Fate.COMMITTED:
            read = await connection.execute(
                f"SELECT id, token FROM {ledger.table} WHERE id = %s",  # type: ignore[arg-type]
                (old.ids[-1],),
            )
            self._expect(await read.fetchall(), [(old.ids[-1], ledger.token(old.ids[-1]))])
        entry.fate = Fate.UNKNOWN
        done = await connection.execute("COMMIT")
        entry.fate = Fate.COMMITTED if done.statusmessage == "COMMIT" else Fate.UNDONE
        ledger.committed()

    def _expect(self, answer: list[tuple[object, ...]], expected: list[tuple[object, ...]]) -> None:
        if answer != expected:
            self.ledger.crossed.append(f"{answer!r} instead of {expected!r}")

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(2 * STATEMENT_LIMIT_S)
        if self._thread.is_alive():
            raise AssertionError("the ledger's clients do not end")
        if self._failure:
            raise self._failure
