"""`gridnet serve`: the dispatch service over TLS, with the live feeder beside it. One command sets up all that is missing."""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvicorn

from gridnet.app.api.app import make_app
from gridnet.app.api.identity import CertificateProtocol
from gridnet.app.community import seal_in
from gridnet.app.service import authority
from gridnet.app.service.assembled import assemble
from gridnet.app.service.authority import Authority
from gridnet.app.service.config import Config
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.loop import Loop
from gridnet.app.service.model import Principal
from gridnet.app.service.service import Service
from gridnet.errors import Fault, InputError
from gridnet_contracts.ledger.database import Database

OPERATOR_ID = "operator"
SECRET_FILE = "operator.secret"
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-CCM8"
"""What IEEE 2030.5 names is among them."""
_GRACE_S = 10


class JsonLines(logging.Formatter):
    """A log record as one line of JSON; a message that is JSON already goes into it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        words = record.getMessage()
        said = json.loads(words) if words.startswith("{") else {"message": words}
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"at": at, "level": record.levelname.lower(), **said})


def serve(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Serves until it is told to stop. Raises `InputError`, `LedgerError` before it serves."""
    folder = Path(arguments.folder)
    config = Config.load(None if arguments.config is None else Path(arguments.config), policy=arguments.policy)
    _check(arguments)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = arguments.db or f"sqlite:///{folder / 'service.db'}"
    certificates = Authority.at(Path(arguments.tls) if arguments.tls is not None else folder / "tls")
    database = Database(url)
    made = assemble(config, database, partial(seal_in, folder / "seal"), lambda: datetime.now(UTC))
    service = made.service
    secret = _operator(service, folder)
    loop = Loop(service, made.keepers)
    server = uvicorn.Server(_settings(service, made.live, certificates, arguments))
    _log(arguments.log_level)
    loop.start()
    kept = ", ".join((config.scenario, *config.feeders))
    say(f"serving {kept} on https://{arguments.host}:{arguments.port}, policy {config.policy}, database {url}")
    say(f"console: https://{arguments.host}:{arguments.port}/console")
    say(f"authority of client certificates: {certificates.path(authority.CA)}; operator's secret: {secret}")
    # uvicorn stops by SIGTERM and then sends it to itself once more: what comes after must still be done.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run()
    finally:
        loop.stop()
        database.close()


def issue(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """A client certificate of the service's authority. Raises `InputError`."""
    folder = Path(arguments.tls) if arguments.tls is not None else Path(arguments.folder) / "tls"
    made = Authority.at(folder).issue(Path(arguments.out), arguments.name)
    print(f"certificate {made.certificate}\nkey         {made.key}\nLFDI        {made.lfdi}")


def _check(arguments: argparse.Namespace) -> None:
    faults = [] if 0 <= arguments.port <= 65535 else [Fault("--port", str(arguments.port), "0 to 65535")]
    if arguments.log_level not in ("debug", "info", "warning", "error"):
        faults.append(Fault("--log-level", repr(arguments.log_level), "debug, info, warning or error"))
    if faults:
        raise InputError("can't serve:", faults)


def _operator(service: Service, folder: Path) -> Path:
    """The file with the operator's secret, made in the first run. What it says counts: to change the secret, change the file."""
    path, operator = folder / SECRET_FILE, Principal(OPERATOR_ID, "operator")
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    service.people.ensure(operator, path.read_text().strip())
    return path


def _settings(service: Service, live: LiveFeeder | None, certificates: Authority, arguments: argparse.Namespace) -> uvicorn.Config:
    settings = uvicorn.Config(
        make_app(service, live),
        host=arguments.host,
        port=arguments.port,
        http=CertificateProtocol,
        ws="websockets-sansio",
        ssl_certfile=certificates.path(authority.SERVER),
        ssl_keyfile=certificates.path(authority.SERVER_KEY),
        ssl_ca_certs=str(certificates.path(authority.CA)),
        # Browsers and OpenADR clients have no certificate; one that is brought must be the authority's.
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
        ssl_ciphers=CIPHERS,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    settings.load()
    assert settings.ssl is not None
    settings.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return settings


def _log(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("gridnet.service", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())
