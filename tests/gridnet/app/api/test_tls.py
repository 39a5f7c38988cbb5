"""Client certificates over real TLS: who is let in as whom."""

from __future__ import annotations

import ssl
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gridnet.app.serve import _settings
from gridnet.app.service.authority import CA, CA_KEY, SERVER, SERVER_KEY, Authority, lfdi_of
from gridnet.app.service.service import Service
from gridnet.errors import InputError
from tests.gridnet.app.service.parts import OPERATOR, Clock, battery, service_on

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Served:
    """A server, its authority, and the folder where certificates are made."""

    service: Service
    authority: Authority
    address: str
    folder: Path

    @contextmanager
    def client(
        self, certificate: Path | None = None, key: Path | None = None, version: ssl.TLSVersion | None = None
    ) -> Iterator[httpx.Client]:
        """A client that trusts the server."""
        context = ssl.create_default_context(cafile=str(self.authority.path(CA)))
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        if version is not None:
            context.maximum_version = context.minimum_version = version
        with httpx.Client(base_url=self.address, verify=context, timeout=10.0, trust_env=False) as client:
            yield client

    def status(self, certificate: Path | None = None, key: Path | None = None, **headers: str) -> int | str:
        """What `GET /api/v1/devices` answers; "refused" where TLS ends first."""
        with self.client(certificate, key) as client:
            try:
                return client.get("/api/v1/devices", headers=headers).status_code
            except (httpx.TransportError, ssl.SSLError):
                return "refused"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """On loopback, with the settings of `gridnet serve`."""
    folder = tmp_path_factory.mktemp("tls")
    service = service_on(f"sqlite:///{folder / 'service.db'}", Clock(datetime.now(UTC)), people=False)
    authority = Authority.at(folder / "tls")
    # What `gridnet serve` itself is set up with: a test of other settings would be of other settings.
    server = uvicorn.Server(_settings(service, None, authority, Namespace(host="127.0.0.1", port=0)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20.0
    while not server.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(service, authority, f"https://127.0.0.1:{port}", folder)
    server.should_exit = True
    thread.join(20.0)
    service.store.database.close()


def _own(folder: Path, name: str, issuer: Authority | None, begins: datetime, ends: datetime) -> tuple[Path, Path]:
    """A certificate that is valid as it is told; signed by itself where there is no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder().subject_name(subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    )
    builder = builder.not_valid_before(begins).not_valid_after(ends)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    signer: ec.EllipticCurvePrivateKey = key
    if issuer is not None:
        loaded = load_pem_private_key(issuer.path(CA_KEY).read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer, subject = loaded, x509.load_pem_x509_certificate(issuer.path(CA).read_bytes()).subject
    made = builder.issuer_name(subject).sign(signer, SHA256())
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def test_a_certificate_of_the_authority_is_let_in_as_itself(served: Served) -> None:
    made = served.authority.issue(served.folder, "inverter-1")
    served.service.devices.add(OPERATOR, battery("inverter-1", "boss", lfdi=made.lfdi))
    with served.client(made.certificate, made.key) as client:
        (shown,) = client.get("/api/v1/devices").json()["devices"]
        assert (shown["id"], shown["lfdi"]) == ("inverter-1", made.lfdi)
    other = served.authority.issue(served.folder, "inverter-2")
    with served.client(other.certificate, other.key) as client:
        assert client.get("/api/v1/devices").json()["total"] == 0
        assert client.get("/api/v1/devices/inverter-1").status_code == 404
        registered = client.post("/api/v1/devices", json={"id": "inverter-2", "discharge_kw": 5})
        assert registered.json()["lfdi"] == other.lfdi
        stolen = client.post("/api/v1/devices", json={"id": "inverter-3", "discharge_kw": 5, "lfdi": "0" * 40})
        assert stolen.status_code == 403


def test_the_name_of_a_certificate_is_the_standards(served: Served) -> None:
    made = served.authority.issue(served.folder, "named")
    der = x509.load_pem_x509_certificate(made.certificate.read_bytes()).public_bytes(Encoding.DER)
    assert made.lfdi == lfdi_of(der)
    assert len(made.lfdi) == 40


def test_without_a_certificate_nobody_is_let_in_and_a_token_is_enough(served: Served) -> None:
    assert served.status() == 401
    assert served.status(authorization="Bearer made-up") == 401


def test_another_authoritys_certificate_is_refused(served: Served) -> None:
    other = Authority.at(served.folder / "other").issue(served.folder, "foreign")
    assert served.status(other.certificate, other.key) == "refused"


@pytest.mark.parametrize(("name", "begins", "ends"), [("expired", -2, -1), ("not-yet", 1, 2)])
def test_a_certificate_out_of_its_time_is_refused(served: Served, name: str, begins: int, ends: int) -> None:
    now = datetime.now(UTC)
    paths = _own(served.folder, name, served.authority, now + begins * DAY, now + ends * DAY)
    assert served.status(*paths) == "refused"
    in_time = _own(served.folder, f"{name}-but-valid", served.authority, now - DAY, now + DAY)
    assert served.status(*in_time) == 200, "what was refused above was refused for its time"


def test_a_certificate_somebody_made_for_himself_is_refused(served: Served) -> None:
    now = datetime.now(UTC)
    assert served.status(*_own(served.folder, "self-made", None, now - DAY, now + DAY)) == "refused"


def test_the_servers_own_certificate_is_nobodys_client_certificate(served: Served) -> None:
    assert served.status(served.authority.path(SERVER), served.authority.path(SERVER_KEY)) == "refused"


def test_a_client_certificate_signs_no_others(served: Served) -> None:
    """A device cannot become an authority."""
    made = served.authority.issue(served.folder, "ambitious")
    fake = served.folder / "ambitious-authority"
    fake.mkdir()
    (fake / CA).write_bytes(made.certificate.read_bytes())
    (fake / CA_KEY).write_bytes(made.key.read_bytes())
    now = datetime.now(UTC)
    certificate, key = _own(served.folder, "child", Authority(fake), now - DAY, now + DAY)
    certificate.write_bytes(certificate.read_bytes() + made.certificate.read_bytes())
    assert served.status(certificate, key) == "refused"


def test_revocation_acts_on_the_next_request_of_an_open_connection(served: Served) -> None:
    made = served.authority.issue(served.folder, "revoked")
    with served.client(made.certificate, made.key) as client:
        assert client.get("/api/v1/devices").status_code == 200
        served.service.people.revoke(OPERATOR, made.lfdi)
        assert client.get("/api/v1/devices").status_code == 401
        served.service.people.restore(OPERATOR, made.lfdi)
        assert client.get("/api/v1/devices").status_code == 200


def test_a_header_does_not_make_a_certificate(served: Served) -> None:
    made = served.authority.issue(served.folder, "forged")
    for name in ("x-client-cert", "x-ssl-client-cert", "x-forwarded-client-cert", "x-client-lfdi"):
        assert served.status(**{name: made.lfdi}) == 401
        assert served.status(**{name: made.certificate.read_text().replace("\n", "")}) == 401


def test_each_connection_has_its_own_certificate(served: Served) -> None:
    """What one client came with does not stay for the next."""
    made = served.authority.issue(served.folder, "first")
    for _ in range(3):
        assert served.status(made.certificate, made.key) == 200
        assert served.status() == 401


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_tls_is_refused(served: Served) -> None:
    for version, allowed in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_1, False)):
        with served.client(version=version) as client:
            try:
                got = client.get("/healthz").status_code == 200
            except httpx.TransportError:
                got = False
        assert got == allowed


def test_a_part_of_the_servers_identity_is_refused_in_words(tmp_path: Path) -> None:
    Authority.at(tmp_path / "tls")
    (tmp_path / "tls" / SERVER_KEY).unlink()
    with pytest.raises(InputError, match="identify"):
        Authority.at(tmp_path / "tls")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="issued"):
        Authority(tmp_path / "empty").issue(tmp_path, "x")


def test_keys_are_the_owners_alone(served: Served) -> None:
    made = served.authority.issue(served.folder, "private")
    for path in (made.key, served.authority.path(CA_KEY), served.authority.path(SERVER_KEY)):
        assert path.stat().st_mode & 0o077 == 0
