"""Why the ledger refuses: one type each, so that a caller can tell them apart.

Nothing was written, unless the refusal comes after the database has committed (the guard's disk, or the database's when the
checkpoint is kept): the same orders again then give their receipts and sign.
"""

from __future__ import annotations

from gridnet.errors import LedgerError


class MalformedAction(LedgerError):
    """An action is not of the stated form: a field is missing, unknown or of another type."""


class NotWholeNumber(LedgerError):
    """An amount is not a whole number of its unit (Wh, micro-euro)."""


class AmountOverflow(LedgerError):
    """An amount or a balance is beyond what the ledger holds (2^53 - 1)."""


class NotFounded(LedgerError):
    """The ledger's first entry must found it, and no later one can."""


class UnknownAsset(LedgerError):
    """No such asset was opened, or it can't be moved this way."""


class UnknownDevice(LedgerError):
    """No such device was registered, or it is no storage device where one is needed."""


class UnknownCertificate(LedgerError):
    """No such certificate."""


class AlreadyThere(LedgerError):
    """What is to be made exists: an asset, a device, an issuance or a record of the same interval."""


class WrongOwner(LedgerError):
    """The certificate or device belongs to somebody else."""


class StatusChangeRefused(LedgerError):
    """The certificate's status does not allow this action."""


class CertificateExpired(LedgerError):
    """The certificate's time is over."""


class NotYetExpired(LedgerError):
    """The certificate's time is not over."""


class NotMatched(LedgerError):
    """A quantity, an interval or a device does not fit what it is set against."""


class InsufficientBalance(LedgerError):
    """An account would fall below zero."""


class KeyReused(LedgerError):
    """An idempotency key was used before, with another body."""


class ForkRefused(LedgerError):
    """The log's own history differs from the last checkpoint that was signed: a restored backup, or a second writer."""


class DatabaseRefused(LedgerError):
    """The database can't be written or read: full or read-only disk, no connection, an unknown version."""
