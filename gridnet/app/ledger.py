"""`gridnet ledger`: founding a ledger, looking at it, exporting it, making it again from its log."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, folder_faults, write_bytes, write_json
from gridnet.errors import Fault, InputError, VerificationError
from gridnet_contracts.audit.projection import compare
from gridnet_contracts.ledger.actions.registry import Found
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.errors import UnknownCertificate
from gridnet_contracts.ledger.export import export
from gridnet_contracts.ledger.ledger import Ledger, prove
from gridnet_contracts.ledger.rebuild import rebuild
from gridnet_contracts.ledger.rows import Certificate, Registry
from gridnet_contracts.ledger.seal import Seal, stored_checkpoint
from gridnet_contracts.ledger.store import StoredRows, log_size, stored_rows
from gridnet_contracts.ledger.stored import check_version, stored_balances
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.note import Note
from gridnet_contracts.reports.consumer import Scope, consumer_report
from gridnet_contracts.reports.reconciliation import reconcile

CONSUMER = {"consumer": "consumer", "zone": "zone", "from": "start", "until": "end"}

DIGITS = 18
"""Of an entry's number at most: what every database holds."""


def found_ledger(arguments: argparse.Namespace) -> None:
    """A new ledger, its key and its guard; where a founding was cut short, the rest of it."""
    words = {field: getattr(arguments, field) for field in Found.model_fields if field != "configuration"}
    first = Found(**words, configuration="gridnet 1")
    _refuse(folder_faults("--seal", arguments.seal))
    Database(arguments.db).close()  # a URL that is none leaves no key behind
    folder = Path(arguments.seal)
    seal = Seal.at(folder) if (folder / "log.key").exists() else Seal.make(folder, arguments.origin)
    ledger = Ledger.found(arguments.db, seal, first)
    ledger.close()
    print(f"founded {arguments.origin}; auditors need its key:\n{ledger.seal.key.verifier.encode()}")


def status(arguments: argparse.Namespace) -> None:
    """What the ledger is, holds and has signed."""
    with _ledger(arguments.db).read() as connection:
        registry = next(stored_rows(connection, Registry))
        for field in fields(registry):
            print(f"{field.name:16}{getattr(registry, field.name)}")
        size, note = log_size(connection), stored_checkpoint(connection)
        print(f"{'entries':16}{size}")
        print(f"{'signed':16}{0 if note is None else Checkpoint.parse(Note.decode(note).text).size}")
        totals: dict[tuple[str, str], int] = {}
        for (account, asset), amount in stored_balances(connection):
            place = account.partition("/")[0], asset
            totals[place] = totals.get(place, 0) + amount
        for (purpose, asset), total in sorted(totals.items()):
            print(f"{purpose:16}{total:>20} {asset}")
        if note is not None:
            print(f"\n{note.decode()}", end="")


def export_ledger(arguments: argparse.Namespace) -> None:
    """A folder for auditors."""
    _refuse(folder_faults("--out", arguments.out))
    count = export(_ledger(arguments.db), Path(arguments.out), arguments.format, disclose=arguments.disclose)
    print(f"{count} certificates in {arguments.out}")


def replay(arguments: argparse.Namespace) -> None:
    """The ledger made again from its log, here or in another database, and compared."""
    source = _ledger(arguments.db)
    if arguments.into is not None:
        print(f"{rebuild(source, Database(arguments.into))} entries made again in {arguments.into}")
        source = Database.reading(arguments.into)
    with source.read() as connection:
        print(compare(connection))


def prove_entry(arguments: argparse.Namespace) -> None:
    """A proof file."""
    _refuse(file_faults("--out", arguments.out))
    with _ledger(arguments.db).read() as connection:
        if arguments.what.isdecimal() and len(arguments.what) <= DIGITS:
            entry = int(arguments.what)
        else:
            certificate = StoredRows(connection).row(Certificate, arguments.what)
            if certificate is None:
                raise UnknownCertificate(f"there is no entry and no certificate {arguments.what[:140]!r}")
            entry = certificate.entry
        proof = prove(connection, entry)
    if arguments.out == STANDARD_OUTPUT:
        sys.stdout.write(proof.encode().decode())
        return
    write_bytes(proof.encode(), arguments.out)
    print(f"proof of entry {entry} in {arguments.out}")


def report(arguments: argparse.Namespace) -> None:
    """A consumer's hours, or the reconciliation of the whole ledger; exit code 1 where it does not come out even."""
    faults = file_faults("--json", arguments.json)
    given = {f"--{name}": getattr(arguments, key) for name, key in CONSUMER.items()}
    if any(given.values()):
        faults += [
            Fault(option, "nothing", "a value: a consumer's report needs all four") for option, value in given.items() if not value
        ]
    _refuse(faults)
    database = _ledger(arguments.db)
    if arguments.consumer is not None:
        scope = Scope(arguments.consumer, arguments.zone, _time("--from", arguments.start), _time("--until", arguments.end))
        hours = consumer_report(database, scope)
        content, text, even = hours.as_json(), f"{hours.table()}\n\n{hours.hour_table()}", True
    else:
        reconciled = reconcile(database)
        content, text, even = reconciled.as_json(), reconciled.table(), reconciled.balanced
    write_json(content, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(text)
    if not even:
        raise VerificationError("the ledger does not come out even: see the faults above, and run gridnet audit verify")


def _ledger(url: str) -> Database:
    database = Database.reading(url)
    with database.read() as connection:
        check_version(connection)
    return database


def _time(option: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError("can't report:", [Fault(option, repr(text), "a time such as 2018-06-01T00:00Z")]) from error


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise InputError("can't do that:", faults)
