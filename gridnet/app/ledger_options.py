"""The options of `gridnet ledger` and `gridnet audit`; apart from the commands, so that others start without the database."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

Command = Callable[[argparse.Namespace], None]


def later(module: str, name: str) -> Command:
    """The command `name` of a module that is imported when it runs."""

    def run(arguments: argparse.Namespace) -> None:
        getattr(import_module(module), name)(arguments)

    return run


def add_ledger(ledger: argparse.ArgumentParser) -> None:
    """The commands below `gridnet ledger`."""
    commands = ledger.add_subparsers(required=True, metavar="COMMAND")
    founding = commands.add_parser("found", help="make a new ledger, and the key and guard that seal it")
    founding.add_argument(
        "--seal", metavar="DIR", required=True, help="folder for the log's key and guard; back up the key, never the guard"
    )
    founding.add_argument("--origin", required=True, help="name of the log, e.g. example.net/credits; stands in every checkpoint")
    founding.add_argument("--issuer", required=True, help="who issues the certificates")
    founding.add_argument("--country", required=True, help="of the issuer, e.g. DE")
    founding.add_argument("--market-zone", required=True, help="bidding zone, e.g. DE-LU")
    founding.add_argument("--legal-status", default="none", help="of the certificates (none)")
    founding.add_argument("--purpose", default="disclosure", help="of the certificates (disclosure)")
    founding.add_argument("--quality-scheme", default="none", help="that the certificates follow (none)")
    founding.set_defaults(command=later("gridnet.app.ledger", "found_ledger"))
    status = commands.add_parser("status", help="size, checkpoint and balances")
    status.set_defaults(command=later("gridnet.app.ledger", "status"))
    exporting = commands.add_parser("export", help="write a folder that an auditor verifies without this database")
    exporting.add_argument("--out", metavar="DIR", required=True, help="a new or an empty folder")
    exporting.add_argument("--format", default="csv", help="of the table of certificates: csv, parquet, jsonl (csv)")
    exporting.add_argument(
        "--disclose", action="store_true", help="with what pseudonyms and hashes stand for: for the auditor alone"
    )
    exporting.set_defaults(command=later("gridnet.app.ledger", "export_ledger"))
    replaying = commands.add_parser("replay", help="make every balance and certificate again from the log, and compare")
    replaying.add_argument("--into", metavar="URL", help="an empty database to write the ledger made again to")
    replaying.set_defaults(command=later("gridnet.app.ledger", "replay"))
    proving = commands.add_parser("prove", help="write the proof that an entry is in the log")
    proving.add_argument("what", metavar="ENTRY", help="the entry's number, or a certificate's name for the entry that made it")
    proving.add_argument("--out", metavar="FILE", required=True, help="the proof, e.g. entry.tlog-proof")
    proving.set_defaults(command=later("gridnet.app.ledger", "prove_entry"))
    reporting = commands.add_parser("report", help="reconcile all Wh by device and month, or report on a consumer's hours")
    reporting.add_argument("--consumer", metavar="PARTY", help="whose consumption; with --zone, --from and --until")
    reporting.add_argument("--zone", help="whose grid factors count for the consumer")
    reporting.add_argument("--from", metavar="TIME", dest="start", help="full hour, e.g. 2018-06-01T00:00Z")
    reporting.add_argument("--until", metavar="TIME", dest="end", help="full hour, not included")
    reporting.add_argument("--json", metavar="FILE", help="write the report as JSON; - prints it in place of the table")
    reporting.set_defaults(command=later("gridnet.app.ledger", "report"))
    reviewing = commands.add_parser("review", help="list what waits for a person, or enter what a person decided about it")
    reviewing.add_argument("--decide", metavar="DEVICE", help="whose doubts are decided; with --outcome, --who, --why and --seal")
    reviewing.add_argument("--outcome", choices=["pass", "reject"], help="release what the doubts hold, or withdraw it")
    reviewing.add_argument("--who", metavar="NAME", help="who decides; the log holds a hash of it")
    reviewing.add_argument("--why", metavar="WORDS", help="the reason, as it will stand in the log: put no names into it")
    reviewing.add_argument("--seal", metavar="DIR", help="folder of the log's key and guard")
    reviewing.set_defaults(command=later("gridnet.app.review", "review"))
    for command in (founding, status, exporting, replaying, proving, reporting, reviewing):
        command.add_argument("--db", metavar="URL", required=True, help="sqlite:///FILE or postgresql://USER@HOST/NAME")


def add_audit(audit: argparse.ArgumentParser) -> None:
    """The commands below `gridnet audit`."""
    commands = audit.add_subparsers(required=True, metavar="COMMAND")
    verify = commands.add_parser("verify", help="check a proof file, an exported folder or a database; exit 0 if all holds, else 1")
    verify.add_argument("path", metavar="PATH", nargs="?", help="a .tlog-proof file or an exported folder")
    verify.add_argument("--db", metavar="URL", help="a whole ledger instead: sqlite:///FILE or postgresql://USER@HOST/NAME")
    verify.add_argument(
        "--key", metavar="KEY", required=True, help="the log's key, which you have from its operator, or a file with it"
    )
    verify.add_argument(
        "--witness", metavar="KEY", action="append", default=[], help="key of a witness you trust, or a file; repeatable"
    )
    verify.add_argument("--quorum", type=int, help="how many of the witnesses must have signed (all)")
    verify.add_argument("--seen", metavar="FILE", help="a checkpoint that you saw before: the log must continue it")
    verify.set_defaults(command=later("gridnet.app.audit", "verify"))
