"""The same login by every client: what came of it, and in the client's own words if nothing did."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import psycopg
import psycopg2

from . import tools
from .certificates import PKCS12_PASSWORD, Pair
from .postgres import PASSWORD
from .processes import become, run, scratch_folder

_ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


class Leg(enum.Enum):
    """How a client comes."""

    PLAINTEXT = "plaintext"
    DEFAULT = "sslmode=prefer"
    TLS = "TLS"
    DIRECT = "direct TLS"


@dataclass(frozen=True)
class Login:
    """One attempt to log in; `None` leaves a setting at the client's default."""

    endpoint: tuple[str, int]
    user: str = "scram"
    leg: Leg = Leg.PLAINTEXT
    channel_binding: str | None = None
    certificate: Pair | None = None
    root: Path | None = None
    host: str | None = None
    tls_max: str | None = None
    database: str = "postgres"

    def but(self, **changes: object) -> Login:
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def sslmode(self) -> str:
        match self.leg:
            case Leg.PLAINTEXT:
                return "disable"
            case Leg.DEFAULT:
                return "prefer"
            case Leg.TLS | Leg.DIRECT:
                return "require" if self.root is None else "verify-full"

    def conninfo(self) -> dict[str, str]:
        """libpq's keywords."""
        words = {
            "host": self.host or self.endpoint[0],
            "port": str(self.endpoint[1]),
            "user": self.user,
            "password": PASSWORD,
            "dbname": self.database,
            "connect_timeout": "10",
            "gssencmode": "disable",
            "sslmode": self.sslmode,
            "sslcert": "none",
        }
        if self.leg is Leg.DIRECT:
            words["sslnegotiation"] = "direct"
        if self.channel_binding is not None:
            words["channel_binding"] = self.channel_binding
        if self.certificate is not None:
            words |= {"sslcert": str(self.certificate.certificate), "sslkey": str(self.certificate.key)}
        if self.root is not None:
            words["sslrootcert"] = str(self.root)
        if self.tls_max is not None:
            words["ssl_max_protocol_version"] = self.tls_max
        return words


@dataclass(frozen=True)
class Outcome:
    """What a login led to: a session, encrypted at the server or not, or the client's error."""

    error: str | None = None
    server_tls: bool = False
    client_tls: bool | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return self.error
        return "works"


@dataclass(frozen=True)
class Client:
    name: str
    log_in: Callable[[Login], Outcome]
    legs: tuple[Leg, ...]
    binds: bool
    """Whether it knows channel binding."""


def _psql(login: Login) -> Outcome:
    done = run(
        [tools.program("psql"), "-XAtq", "-c", "\\conninfo", "-c", _ENCRYPTED,
         " ".join(f"{key}='{value}'" for key, value in login.conninfo().items())],
        env=os.environ | {"LC_ALL": "C"},
        check=False,
    )
    if done.returncode != 0:
        return Outcome(_told(done.stderr.removeprefix("psql: error: ")))
    *about, encrypted = done.stdout.strip().splitlines()
    return Outcome(server_tls=encrypted == "t", client_tls=any(line.startswith("SSL connection") for line in about))


def _psycopg2(login: Login) -> Outcome:
    try:
        connection = psycopg2.connect(**login.conninfo())
    except psycopg2.OperationalError as error:
        return Outcome(_told(str(error)))
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(_ENCRYPTED)
        return Outcome(server_tls=cursor.fetchone()[0], client_tls=connection.info.ssl_in_use)


def _psycopg3(login: Login) -> Outcome:
    try:
        connection = psycopg.connect(**login.conninfo())
    except psycopg.OperationalError as error:
        return Outcome(_told(str(error)))
    with contextlib.closing(connection):
        (encrypted,) = connection.execute(_ENCRYPTED).fetchone()
        return Outcome(server_tls=encrypted, client_tls=bool(connection.pgconn.ssl_in_use))


def _asyncpg(login: Login) -> Outcome:
    async def attempt() -> Outcome:
        connection = await asyncpg.connect(
            host=login.host or login.endpoint[0], port=login.endpoint[1], user=login.user, password=PASSWORD,
            database=login.database, timeout=10, ssl=_context(login), direct_tls=login.leg is Leg.DIRECT,
        )
        try:
            encrypted = await connection.fetchval(_ENCRYPTED)
            client_tls = connection._transport.get_extra_info("ssl_object") is not None
            return Outcome(server_tls=encrypted, client_tls=client_tls)
        finally:
            await connection.close()

    try:
        return asyncio.run(attempt())
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        state = f"{error.sqlstate} " if isinstance(error, asyncpg.PostgresError) else ""
        return Outcome(f"{state}{error}" or repr(error))


def _context(login: Login) -> ssl.SSLContext | str:
    if login.leg in (Leg.PLAINTEXT, Leg.DEFAULT):
        return login.sslmode
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["postgresql"])
    context.check_hostname = login.root is not None
    context.verify_mode = ssl.CERT_NONE if login.root is None else ssl.CERT_REQUIRED
    if login.root is not None:
        context.load_verify_locations(login.root)
    if login.certificate is not None:
        context.load_cert_chain(login.certificate.certificate, login.certificate.key)
    if login.tls_max is not None:
        context.maximum_version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[login.tls_max]
    return context


class Jdbc:
    """One Java process that logs in as often as it is asked to: a new one costs a second."""

    JAR = Path("/usr/share/java/postgresql.jar")

    def __init__(self) -> None:
        if not self.JAR.is_file():
            raise tools.Missing(f"{self.JAR} does not exist: scripts/setup jdbc")
        self._log = (scratch_folder("jdbc") / "log").open("w")
        self._process = subprocess.Popen(
            [tools.program("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", self.JAR,
             Path(__file__).with_name("Jdbc.java")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            preexec_fn=lambda: become(None),  # noqa: PLW1509
        )

    def log_in(self, login: Login) -> Outcome:
        words = {"user": login.user, "password": PASSWORD, "sslmode": login.sslmode, "loginTimeout": "60"}
        words["gssEncMode"] = "disable"
        if login.certificate is not None:
            words |= {"sslkey": str(login.certificate.pkcs12), "sslpassword": PKCS12_PASSWORD}
        if login.root is not None:
            words["sslrootcert"] = str(login.root)
        host = login.host or login.endpoint[0]
        line = [f"jdbc:postgresql://{host}:{login.endpoint[1]}/{login.database}"]
        line += [f"{key}={value}" for key, value in words.items()]
        self._process.stdin.write("\t".join([_ENCRYPTED, *line]) + "\n")
        self._process.stdin.flush()
        kind, _, rest = self._process.stdout.readline().rstrip("\n").partition("\t")
        match kind:
            case "session":
                return Outcome(server_tls=rest == "t")
            case "error":
                return Outcome(rest)
        told = Path(self._log.name).read_text()[-4000:]
        raise AssertionError(f"the Java client ended with {self._process.wait(5)}\n{told}")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._log.close()


class Clients:
    """All five, by name; Java starts when it is first asked for."""

    def __init__(self) -> None:
        both = (Leg.PLAINTEXT, Leg.DEFAULT, Leg.TLS)
        self._jdbc: Jdbc | None = None
        self._all = {
            one.name: one
            for one in (
                Client("psql", _psql, both, binds=True),
                Client("psycopg2", _psycopg2, (*both, Leg.DIRECT), binds=True),
                Client("psycopg3", _psycopg3, (*both, Leg.DIRECT), binds=True),
                Client("asyncpg", _asyncpg, (*both, Leg.DIRECT), binds=False),
                Client("jdbc", self._java, both, binds=False),
            )
        }

    def __getitem__(self, name: str) -> Client:
        return self._all[name]

    def __iter__(self) -> Iterator[Client]:
        return iter(self._all.values())

    def _java(self, login: Login) -> Outcome:
        self._jdbc = self._jdbc or Jdbc()
        return self._jdbc.log_in(login)

    def close(self) -> None:
        if self._jdbc is not None:
            self._jdbc.close()


_PREFIX = re.compile(r'(?:connection failed: )?connection to server at "[^"]*"(?: \([^)]*\))?, port \d+ failed: ')


def _told(text: str) -> str:
    """libpq's words behind `connection to server at … failed: `, of its one attempt or of both."""
    return _PREFIX.sub("", text).strip()
