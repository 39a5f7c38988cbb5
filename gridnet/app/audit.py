"""`gridnet audit verify`: a proof, an exported folder or a whole database, checked offline."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from gridnet.errors import Fault, InputError, VerificationError
from gridnet_contracts.audit.bundle import audit_bundle
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.audit.proof import audit_proof
from gridnet_contracts.audit.steps import Outcome
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.keys import Algorithm, VerifierKey


def verify(arguments: argparse.Namespace) -> None:
    """Prints each check as it is made. Raises `VerificationError` where one fails, `InputError`."""
    if (arguments.path is None) == (arguments.db is None):
        raise InputError("what is to be verified?", [Fault("PATH or --db", "both" if arguments.db else "none", "one of them")])
    log = _key("--key", arguments.key)
    if log.algorithm is not Algorithm.NOTE:
        raise InputError("can't verify:", [Fault("--key", repr(arguments.key), "the log's key; this one is a witness's")])
    witnesses = tuple(_key("--witness", text) for text in arguments.witness)
    policy = Policy(log.name, log, witnesses, len(witnesses) if arguments.quorum is None else arguments.quorum)
    seen = None if arguments.seen is None else _read("--seen", arguments.seen)
    if arguments.db is not None:
        database = Database.reading(arguments.db)
        try:
            _tell(audit_database(database, policy, seen))
        finally:
            database.close()
    elif Path(arguments.path).is_dir():
        _tell(audit_bundle(Path(arguments.path), policy, seen))
    else:
        if seen is not None:
            raise InputError(
                "can't compare:", [Fault("--seen", "a single proof", "an exported folder or --db, which hold a whole log")]
            )
        _tell(audit_proof(_read("PATH", arguments.path), policy))


def _tell(outcomes: Iterator[Outcome]) -> None:
    for outcome in outcomes:
        print(outcome)
    if not outcome.passed:
        raise VerificationError(f"check {outcome.number} failed: don't rely on this")
    print("verified: everything above holds")


def _key(option: str, text: str) -> VerifierKey:
    path = Path(text)
    try:
        stated = path.read_text(encoding="utf-8").strip() if len(text) < 200 and path.is_file() else text
        return VerifierKey.decode(stated)
    except (OSError, UnicodeDecodeError, VerificationError, InputError) as error:
        raise InputError(
            "can't verify:", [Fault(option, repr(text), f"a key NAME+ID+BASE64 or a file with one ({error})")]
        ) from error


def _read(option: str, name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InputError("can't verify:", [Fault(option, repr(name), f"a file that can be read ({error.strerror})")]) from error
