"""Certificates of a development set-up: an authority of its own, the server's certificate, and clients'. ECDSA on P-256, as IEEE
2030.5 asks. Real installations bring certificates of their utility: `--tls DIR` with the same three files.

| file | what |
|---|---|
| ca.pem, ca.key | the authority that client certificates must come from |
| server.pem, server.key | the server's own, for localhost and 127.0.0.1 |
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gridnet.errors import Fault, InputError

LFDI_DIGITS = 40
VALID = timedelta(days=365)
CA, CA_KEY, SERVER, SERVER_KEY = "ca.pem", "ca.key", "server.pem", "server.key"


@dataclass(frozen=True)
class Issued:
    """A client's certificate and key, and the name that it goes by."""

    certificate: Path
    key: Path
    lfdi: str


def lfdi_of(der: bytes) -> str:
    """The long form device identifier: the first 160 bits of the certificate's SHA-256 (IEEE 2030.5, 6.3.4)."""
    return sha256(der).hexdigest()[:LFDI_DIGITS]


@dataclass(frozen=True)
class Authority:
    """A folder of certificates."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Self:
        """The authority in a folder, made where the folder has none. Raises `InputError` where only a part is there."""
        there = [(folder / name).exists() for name in (CA, SERVER, SERVER_KEY)]
        authority = cls(folder)
        if not any(there):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            authority._make()
        elif not all(there):
            raise InputError(
                "the server can't identify itself:", [Fault(str(folder), "a part of them", f"{CA}, {SERVER} and {SERVER_KEY}")]
            )
        return authority

    def path(self, name: str) -> Path:
        """One of its files."""
        return self.folder / name

    def issue(self, folder: Path, name: str) -> Issued:
        """A new client certificate in `folder`. Raises `InputError` where the authority's key is not there."""
        if not self.path(CA_KEY).exists():
            raise InputError("no certificate can be issued:", [Fault(str(self.path(CA_KEY)), "nothing", "the authority's key")])
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = self._signed(self._builder(key, subject).add_extension(usage, critical=False))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Issued(folder / f"{name}.pem", folder / f"{name}.key", lfdi_of(certificate.public_bytes(Encoding.DER)))
        made.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        _write_key(made.key, key)
        return made

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gridnet development authority")])
        builder = self._builder(key, name).issuer_name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        _write_key(self.path(CA_KEY), key)
        own = builder.add_extension(identifier, critical=False).sign(key, SHA256())
        self.path(CA).write_bytes(own.public_bytes(Encoding.PEM))
        served = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        usage_of = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        server = self._builder(served, subject).add_extension(names, critical=False).add_extension(usage_of, critical=False)
        _write_key(self.path(SERVER_KEY), served)
        self.path(SERVER).write_bytes(self._signed(server).public_bytes(Encoding.PEM))

    def _builder(self, key: ec.EllipticCurvePrivateKey, subject: x509.Name) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        # A client whose clock is behind by minutes shall not find it too young.
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + VALID)

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        key = load_pem_private_key(self.path(CA_KEY).read_bytes(), None)
        own = x509.load_pem_x509_certificate(self.path(CA).read_bytes())
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InputError("the authority can't sign:", [Fault(str(self.path(CA_KEY)), "another key", "one on P-256")])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.issuer_name(own.subject).add_extension(issuer, critical=False)
        return builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(key, SHA256())


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
