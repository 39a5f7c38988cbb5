"""`gridnet chain`: the credit registry on a chain. Whatever was cut short, the same command goes on from there."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridnet.app.bench.table import aligned
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, folder_faults, write_bytes, write_json
from gridnet.errors import Fault, InputError, VerificationError
from gridnet_contracts.chain.anchoring import anchor_waiting
from gridnet_contracts.chain.anchoring import claim as claim_credit
from gridnet_contracts.chain.anchoring import retire as retire_credit
from gridnet_contracts.chain.batch import Registry, address
from gridnet_contracts.chain.contract import CreditContract, Wish, deployment
from gridnet_contracts.chain.deployment import Deployment, read_deployment
from gridnet_contracts.chain.errors import ChainRefused, ChainUnreachable
from gridnet_contracts.chain.export import export, stored_batches
from gridnet_contracts.chain.keystore import open_keystore
from gridnet_contracts.chain.node import Node
from gridnet_contracts.chain.reconcile import HEADINGS, Reconciliation, mirrored
from gridnet_contracts.chain.reconcile import reconcile as compare
from gridnet_contracts.chain.sender import Patience, Sender
from gridnet_contracts.chain.voucher import read_vouchers, write_vouchers
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.store import stored_rows
from gridnet_contracts.ledger.stored import check_version

PASSWORD = "GRIDNET_KEY_PASSWORD"
GWEI = 1_000_000_000


def deploy(arguments: argparse.Namespace) -> None:
    """A new registry, and the file that says where it is."""
    _refuse(file_faults("--out", arguments.out))
    sender = _sender(arguments)
    account = sender.key.address
    roles = {name: address(getattr(arguments, name) or account, f"--{name}") for name in ("admin", "anchorer")}
    receipt = sender.send(deployment(roles["admin"], roles["anchorer"]))
    if receipt.contract is None:
        raise ChainRefused(f"transaction {receipt.transaction} deployed nothing")
    made = Deployment(
        chain_id=sender.node.chain_id(), contract=receipt.contract, block=receipt.block, transaction=receipt.transaction
    )
    write_bytes(f"{made.model_dump_json(indent=1)}\n".encode(), arguments.out)
    print(f"{made.contract} on chain {made.chain_id}, block {made.block}, {receipt.gas:,} gas; written to {arguments.out}")


def anchor(arguments: argparse.Namespace) -> None:
    """Locks what is given, writes vouchers, anchors what waits. Only the last needs the node."""
    _refuse(folder_faults("--vouchers", arguments.vouchers))
    registry = _deployment(arguments).registry
    if arguments.give:
        _export(arguments, registry)
    with _reading(arguments.db) as database:
        if arguments.vouchers is not None:
            with database.read() as connection:
                for each in stored_batches(connection, registry):
                    write_vouchers(each.batch, Path(arguments.vouchers))
        try:
            sender = _sender(arguments)
            contract = CreditContract(sender.node, registry)
            for each, receipt in anchor_waiting(database, contract, sender):
                said = "was there" if receipt is None else f"in block {receipt.block}, {receipt.gas:,} gas"
                print(f"batch {each.number}: {each.batch.size} credits, {each.batch.total_wh:,} Wh, {said}")
            print(f"{contract.batches()} batches are anchored, none waits")
        except ChainUnreachable as error:
            message = f"{error}. What was locked waits in the ledger: the same command without --give anchors it"
            raise ChainUnreachable(message) from error


def claim(arguments: argparse.Namespace) -> None:
    """Credits to their owners."""
    vouchers = [each for file in arguments.files for each in read_vouchers(Path(file))]
    sender = _sender(arguments)
    for registry in dict.fromkeys(each.registry for each in vouchers):
        CreditContract(sender.node, registry).check()
    for each in vouchers:
        receipt = claim_credit(CreditContract(sender.node, each.registry), each, sender)
        said = "claimed before" if receipt is None else f"block {receipt.block}, {receipt.gas:,} gas"
        print(f"{each.certificate}: {each.wh:,} Wh for {each.owner}, {said}")


def retire(arguments: argparse.Namespace) -> None:
    """Wh used up."""
    made = _deployment(arguments)
    sender = _sender(arguments)
    contract = CreditContract(sender.node, made.registry)
    contract.check()
    wh = contract.balance(sender.key.address, arguments.batch) if arguments.wh is None else arguments.wh
    wish = Wish(arguments.batch, wh, arguments.beneficiary, arguments.purpose)
    receipt = retire_credit(contract, wish, made.block, sender)
    said = "retired in the same words before" if receipt is None else f"retired in block {receipt.block}, {receipt.gas:,} gas"
    print(f"{wh:,} Wh for {arguments.beneficiary}: {said}")


def status(arguments: argparse.Namespace) -> None:
    """What the contract holds, and what waits for it."""
    registry = _deployment(arguments).registry
    contract = CreditContract(Node(arguments.rpc), registry)
    contract.check()
    state = contract.state()
    facts = {"chain": registry.chain_id, "contract": registry.contract, "admin": state.admin, "anchorer": state.anchorer}
    for name, fact in (*facts.items(), ("paused", state.paused), ("batches", state.batches)):
        print(f"{name:10}{fact}")
    if arguments.db is not None:
        with _reading(arguments.db) as database, database.read() as connection:
            waiting = sum(1 for _ in stored_batches(connection, registry, state.batches))
        print(f"{'waiting':10}{waiting}")


def reconcile(arguments: argparse.Namespace) -> None:
    """Ledger against chain; with `--seal`, what was retired there is claimed here."""
    _refuse(file_faults("--json", arguments.json))
    made = _deployment(arguments)
    contract = CreditContract(Node(arguments.rpc), made.registry)
    with _reading(arguments.db) as database:
        found = compare(database, contract, arguments.confirmations)
    orders = mirrored(made.registry, found)
    if arguments.seal is not None and found.agrees and orders:
        ledger = Ledger.open(arguments.db, Seal.at(Path(arguments.seal)))
        try:
            ledger.commit(orders)
        finally:
            ledger.close()
    write_json(_as_json(found), arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(_table(found))
        done = "claimed in the ledger now" if arguments.seal is not None and found.agrees else "locked in the ledger still"
        print(f"{len(orders)} certificates stand for what was retired on the chain and are {done}")
    if not found.agrees:
        raise VerificationError("\n".join(["ledger and chain do not agree:", *(f"  - {each}" for each in found.faults)]))


def _table(found: Reconciliation) -> str:
    rows = [[f"{figure:,}" for figure in each.line()] for each in found.batches]
    return f"{aligned([list(HEADINGS), *rows])}\nblock {found.block}, {found.waiting} batches wait, {len(found.faults)} faults"


def _as_json(found: Reconciliation) -> dict[str, object]:
    keys = [heading.lower().replace(" ", "_") for heading in HEADINGS]
    return {
        "block": found.block,
        "agrees": found.agrees,
        "waiting": found.waiting,
        "faults": list(found.faults),
        "batches": [dict(zip(keys, each.line(), strict=True)) for each in found.batches],
    }


def _export(arguments: argparse.Namespace, registry: Registry) -> None:
    if arguments.seal is None:
        raise InputError("can't lock certificates:", [Fault("--seal", "nothing", "the ledger's seal: locking is an entry")])
    ledger = Ledger.open(arguments.db, Seal.at(Path(arguments.seal)))
    try:
        gifts: dict[str, str] = {}
        for text in arguments.give:
            what, _, owner = text.rpartition("=")
            gifts |= dict.fromkeys([what] if "@" in what else _active(ledger.database, what), address(owner, "--give"))
        numbers = export(ledger, registry, gifts.items())
    finally:
        ledger.close()
    print(f"{len(gifts)} certificates are locked for the chain; new batches: {', '.join(map(str, numbers)) or 'none'}")


def _active(database: Database, party: str) -> list[str]:
    with database.read() as connection:
        rows = stored_rows(connection, Certificate)
        return [row.certificate for row in rows if row.party == party and row.status == "active"]


def _sender(arguments: argparse.Namespace) -> Sender:
    faults = [
        Fault(f"--{name.replace('_', '-')}", str(getattr(arguments, name)), "more than 0")
        for name in ("confirmations", "max_fee_gwei", "give_up_s")
        if not getattr(arguments, name) > 0
    ]
    _refuse(faults)
    key = open_keystore(Path(arguments.key), _password(arguments))
    patience = Patience(
        confirmations=arguments.confirmations,
        give_up_s=arguments.give_up_s,
        most_wei=int(arguments.max_fee_gwei * GWEI),
    )
    return Sender(Node(arguments.rpc), key, patience)


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_file is not None:
        try:
            return Path(arguments.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise InputError("can't open the key:", [Fault("--password-file", str(error), "a file with the password")]) from error
    given = os.environ.get(PASSWORD)
    return getpass.getpass(f"password of {arguments.key}: ") if given is None else given


def _deployment(arguments: argparse.Namespace) -> Deployment:
    return read_deployment(Path(arguments.registry))


@contextmanager
def _reading(url: str) -> Iterator[Database]:
    database = Database.reading(url)
    try:
        with database.read() as connection:
            check_version(connection)
        yield database
    finally:
        database.close()


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise InputError("can't do that:", faults)
