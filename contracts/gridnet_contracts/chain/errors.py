"""What can go wrong with a chain. The ledger never waits for it: what a command could not do, the same command does later."""

from __future__ import annotations

from gridnet.errors import GridnetError


class ChainError(GridnetError):
    """The chain did not do what was asked. What stands in the ledger stays there."""

    exit_code = 5


class ChainUnreachable(ChainError):
    """The node does not answer, or not as a node of this chain does."""


class ChainRefused(ChainError):
    """The contract or the node refuses; the message holds its reason."""


class NotSettled(ChainError):
    """A transaction was sent and is not deep enough in the chain yet. Whether it will be shows later; asking again is safe."""
