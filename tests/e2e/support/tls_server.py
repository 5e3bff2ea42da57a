"""PostgreSQL with TLS, and a role for each way of logging in."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct

from .certificates import Certificates, Pair
from .postgres import PASSWORD, Postgres
from .waiting import wait_until

SSL_REQUEST = struct.pack("!ii", 8, 80877103)

ROLES = ("scram", "md5", "trust", "cert", "scram_and_cert", "tls_only", "plaintext_only")
"""Each is called after how it must log in; the last three by SCRAM."""

# Certificates have no meaning on a Unix socket: there the two roles that need one find no line.
_HBA = """\
local   all postgres                     trust
local   all scram,tls_only,plaintext_only scram-sha-256
local   all md5                          md5
local   all "trust"                      trust
hostssl all cert           127.0.0.1/32  cert
hostssl all scram_and_cert 127.0.0.1/32  scram-sha-256 clientcert=verify-ca
hostssl all tls_only       127.0.0.1/32  scram-sha-256
hostnossl all plaintext_only 127.0.0.1/32 scram-sha-256
host    all scram          127.0.0.1/32  scram-sha-256
host    all md5            127.0.0.1/32  md5
host    all "trust"        127.0.0.1/32  trust
host    all,replication app 127.0.0.1/32 scram-sha-256
host    all,replication raw 127.0.0.1/32 trust
"""


class TlsPostgres(Postgres):
    """A server that offers TLS, with a certificate that can be changed while it runs."""

    def __init__(self, major: int, certificates: Certificates) -> None:
        self.certificates = certificates
        self.shown = certificates.server
        super().__init__(
            major,
            self._furnish,
            ssl="on",
            ssl_cert_file="shown.pem",
            ssl_key_file="shown.key",
            ssl_ca_file="clients.pem",
        )
        self.sql(
            "".join(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}';" for role in ROLES if role != "md5")
            + f"SET password_encryption = 'md5'; CREATE ROLE md5 LOGIN PASSWORD '{PASSWORD}'"
        )

    def show(self, pair: Pair) -> None:
        """Presents this certificate to whoever connects from now on."""
        self.shown = pair
        self._put_certificate()
        self.sql("SELECT pg_reload_conf()")
        wait_until(lambda: presented(self.address.endpoint) == pair.der(), "the server shows its new certificate")

    def _furnish(self, _: Postgres) -> None:
        (self.data / "pg_hba.conf").write_text(_HBA)
        shutil.copy(self.certificates.authority.certificate, self.data / "clients.pem")
        self._put_certificate()

    def _put_certificate(self) -> None:
        for source, name in ((self.shown.certificate, "shown.pem"), (self.shown.key, "shown.key")):
            shutil.copy(source, self.data / name)
            (self.data / name).chmod(0o600)
            self.own(self.data / name)
        self.own(self.data / "clients.pem")


def presented(endpoint: tuple[str, int], server_name: str | None = None) -> bytes:
    """The certificate that is shown to a client at `endpoint`, in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(endpoint, timeout=10) as one:
        one.sendall(SSL_REQUEST)
        answer = one.recv(1)
        assert answer == b"S", f"SSLRequest was answered {answer!r}"
        with context.wrap_socket(one, server_hostname=server_name) as tls:
            certificate = tls.getpeercert(binary_form=True)
            assert certificate is not None
            return certificate
