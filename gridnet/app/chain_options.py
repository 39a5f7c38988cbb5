"""The options of `gridnet chain`; apart from the commands, so that others start without web3 and work where it is not installed."""

from __future__ import annotations

import argparse
from importlib import import_module

from gridnet.app.ledger_options import Command
from gridnet.errors import InputError

EXTRA = ("web3", "eth_account", "eth_abi", "eth_typing")


def chain_command(name: str) -> Command:
    """A command of `gridnet.app.chain`, imported when it runs. Raises `InputError` where the extra `chain` is not installed."""

    def run(arguments: argparse.Namespace) -> None:
        try:
            module = import_module("gridnet.app.chain")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in EXTRA:
                raise
            raise InputError(f"the chain needs {error.name}, which is an extra: pip install 'gridnet-dispatch[chain]'") from error
        getattr(module, name)(arguments)

    return run


def add_chain(chain: argparse.ArgumentParser) -> None:
    """The commands below `gridnet chain`."""
    commands = chain.add_subparsers(required=True, metavar="COMMAND")
    deploying = commands.add_parser("deploy", help="put the credit registry on a chain")
    deploying.add_argument("--out", metavar="FILE", required=True, help="the deployment, which the other commands read")
    deploying.add_argument("--admin", metavar="ADDRESS", help="who may pause and hand on roles (the key's account)")
    deploying.add_argument("--anchorer", metavar="ADDRESS", help="who may anchor batches (the key's account)")
    anchoring = commands.add_parser("anchor", help="lock certificates for the chain, and anchor every batch that waits")
    anchoring.add_argument(
        "--give",
        metavar="WHAT=ADDRESS",
        action="append",
        default=[],
        help="a certificate, or a party for all its active ones, and the owner on the chain; repeatable; with --seal",
    )
    anchoring.add_argument("--seal", metavar="DIR", help="folder of the log's key and guard")
    anchoring.add_argument("--vouchers", metavar="DIR", help="write what owners claim with, a file per batch and owner")
    claiming = commands.add_parser("claim", help="claim credits with vouchers, for the owners that they name")
    claiming.add_argument("files", metavar="FILE", nargs="+", help="vouchers")
    retiring = commands.add_parser("retire", help="use up Wh that the key's account holds")
    retiring.add_argument("--batch", type=int, required=True, help="of which batch")
    retiring.add_argument("--wh", type=int, help="how much (all that the account holds)")
    retiring.add_argument("--beneficiary", metavar="NAME", required=True, help="for whom; public for good")
    retiring.add_argument("--purpose", metavar="WORDS", default="own use", help="what for; the same retirement is made once")
    status = commands.add_parser("status", help="roles, batches, and what waits for the chain")
    reconciling = commands.add_parser("reconcile", help="compare ledger and chain; exit 0 if they agree, else 1")
    reconciling.add_argument("--seal", metavar="DIR", help="claim in the ledger, too, what was retired on the chain")
    reconciling.add_argument("--json", metavar="FILE", help="write the comparison as JSON; - prints it in place of the table")
    everything = {
        "deploy": deploying,
        "anchor": anchoring,
        "claim": claiming,
        "retire": retiring,
        "status": status,
        "reconcile": reconciling,
    }
    for name, command in everything.items():
        command.add_argument("--rpc", metavar="URL", required=True, help="a JSON-RPC node, e.g. http://127.0.0.1:8545")
        command.set_defaults(command=chain_command(name))
    for command in (deploying, anchoring, claiming, retiring):
        command.add_argument("--key", metavar="FILE", required=True, help="keystore file of the account that pays")
        command.add_argument("--password-file", metavar="FILE", help="its password (GRIDNET_KEY_PASSWORD, or asked for)")
        command.add_argument("--max-fee-gwei", type=float, default=500.0, help="per gas, above which nothing is sent (500)")
        command.add_argument("--give-up-s", type=float, default=900.0, help="seconds to wait for a transaction (900)")
    for command in (deploying, anchoring, claiming, retiring, reconciling):
        command.add_argument("--confirmations", type=int, default=5, help="blocks deep that counts as settled (5)")
    for command in (anchoring, retiring, status, reconciling):
        command.add_argument("--registry", metavar="FILE", required=True, help="the deployment")
    for command in (anchoring, reconciling):
        command.add_argument("--db", metavar="URL", required=True, help="the ledger: sqlite:///FILE or postgresql://USER@HOST/NAME")
    status.add_argument("--db", metavar="URL", help="the ledger, to count what waits")
