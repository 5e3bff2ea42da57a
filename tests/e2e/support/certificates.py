"""Certificates as teams have them, the odd ones too, made with the `openssl` command for one test run."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

from .processes import run, scratch_folder

_SERVER = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
_ELSEWHERE = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:elsewhere.example\nextendedKeyUsage=serverAuth\n"
_CLIENT = "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n"
# `openssl ca` is the one command that takes the dates of a certificate from its caller.
_DATED_CA = """\
[ca]
default_ca = dated
[dated]
new_certs_dir = {folder}
database = {folder}/index
serial = {folder}/serial
default_md = sha256
policy = anything
x509_extensions = server
unique_subject = no
[anything]
commonName = supplied
[server]
{extensions}"""

PKCS12_PASSWORD = "pgprism"
"""Of the `.p12` files: Java reads a client's key from no other format without one."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def pkcs12(self) -> Path:
        """The two in one file, which JDBC wants."""
        return self.certificate.with_suffix(".p12")

    def listener(self, tls: str = "require", **more: str) -> dict[str, str]:
        """The settings of a listener that shows this certificate."""
        return {"tls": tls, "tls_certificate": str(self.certificate), "tls_key": str(self.key)} | more

    def der(self) -> bytes:
        """The certificate as it goes over the wire."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


class Certificates:
    """One certificate authority, a second one that nobody knows, and what they signed."""

    def __init__(self) -> None:
        self.folder = scratch_folder("certificates")
        self.authority = self._authority("authority")
        self.stranger = self._authority("stranger")
        self.server = self._signed("server", "localhost", _SERVER)
        self.proxy = self._signed("proxy", "localhost", _SERVER)
        self.renewed = self._signed("renewed", "localhost", _SERVER)
        self.misnamed = self._signed("misnamed", "elsewhere.example", _ELSEWHERE)
        self.expired = self._expired("expired", "localhost")
        self.strangers_server = self._signed("strangers_server", "localhost", _SERVER, self.stranger)
        self.client = self._signed("client", "cert", _CLIENT)
        self.other_client = self._signed("other_client", "somebody", _CLIENT)
        self.strangers_client = self._signed("strangers_client", "cert", _CLIENT, self.stranger)
        # What `openssl req -x509` gives without a thought, and what many a database server has.
        self.self_signed = self._authority("self_signed", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        # X.509 v1: no extensions, as old recipes make them.
        self.version_1 = self._signed("version_1", "localhost", None)
        for pair in (self.client, self.other_client, self.strangers_client):
            self._openssl(
                "pkcs12", "-export", "-in", pair.certificate, "-inkey", pair.key, "-out", pair.pkcs12,
                "-name", "user", "-passout", f"pass:{PKCS12_PASSWORD}",
            )

    def bundle(self, *pairs: Pair) -> Path:
        """Several certificates in one file, as a root certificate file may hold them."""
        file = self.folder / ("-".join(pair.certificate.stem for pair in pairs) + "-bundle.pem")
        file.write_text("".join(pair.certificate.read_text() for pair in pairs))
        return file

    def _authority(self, name: str, subject: str | None = None, *extensions: str) -> Pair:
        pair = self._key(name)
        added = [word for one in extensions for word in ("-addext", one)]
        self._openssl(
            "req", "-x509", "-new", "-key", pair.key, "-subj", f"/CN={subject or f'pgprism tests {name}'}",
            "-days", "3650", "-out", pair.certificate, *added,
        )
        return pair

    def _signed(self, name: str, subject: str, extensions: str | None, by: Pair | None = None) -> Pair:
        pair, authority = self._key(name), by or self.authority
        request = self._request(pair, subject)
        added: list[str | Path] = []
        if extensions is not None:
            file = self.folder / f"{name}.ext"
            file.write_text(extensions)
            added = ["-extfile", file]
        self._openssl(
            "x509", "-req", "-in", request, "-CA", authority.certificate, "-CAkey", authority.key,
            "-set_serial", str(secrets.randbits(63)), "-days", "3650", "-out", pair.certificate, *added,
        )
        return pair

    def _expired(self, name: str, subject: str) -> Pair:
        pair = self._key(name)
        (self.folder / "index").touch()
        (self.folder / "serial").write_text("01\n")
        config = self.folder / "dated.cnf"
        config.write_text(_DATED_CA.format(folder=self.folder, extensions=_SERVER))
        self._openssl(
            "ca", "-batch", "-notext", "-config", config, "-in", self._request(pair, subject), "-out", pair.certificate,
            "-cert", self.authority.certificate, "-keyfile", self.authority.key,
            "-startdate", "20200101000000Z", "-enddate", "20210101000000Z",
        )
        return pair

    def _key(self, name: str) -> Pair:
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pair.key)
        pair.key.chmod(0o600)
        return pair

    def _request(self, pair: Pair, subject: str) -> Path:
        request = pair.key.with_suffix(".csr")
        self._openssl("req", "-new", "-key", pair.key, "-subj", f"/CN={subject}", "-out", request)
        return request

    def _openssl(self, *words: str | Path) -> None:
        run(["openssl", *words])
