"""What the service refuses, with the HTTP status that every protocol answers with: the one table from error to status."""

from __future__ import annotations

from gridnet.errors import GridnetError, InputError, LedgerError, ModelError, VerificationError


class ServiceError(GridnetError):
    """A request that can't be served. `status` is HTTP's, `kind` a short stable name for programs."""

    status = 400
    kind = "bad-request"

    def __init__(self, message: str, *, device: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message, device=device)
        self.retry_after_s = retry_after_s


class NotAuthenticated(ServiceError):
    """Nobody known asks: no credentials, or ones that are wrong, expired or revoked."""

    status, kind = 401, "not-authenticated"


class Forbidden(ServiceError):
    """Somebody known asks for what is not theirs."""

    status, kind = 403, "forbidden"


class NotFound(ServiceError):
    """There is no such object, or none that the asking party may know of."""

    status, kind = 404, "not-found"


class Conflict(ServiceError):
    """The object is there already, or is in a state that forbids the request."""

    status, kind = 409, "conflict"


class TooLarge(ServiceError):
    """A body that is longer or more deeply nested than any honest one."""

    status, kind = 413, "too-large"


class TooMany(ServiceError):
    """More requests than one party may make; `retry_after_s` says when the next is welcome."""

    status, kind = 429, "too-many-requests"


class Unavailable(ServiceError):
    """What the request needs is away for a while: the database, as a rule."""

    status, kind = 503, "unavailable"


_OTHERS: tuple[tuple[type[GridnetError], int, str], ...] = (
    (InputError, 422, "invalid-input"),
    (VerificationError, 422, "not-verified"),
    (LedgerError, 503, "unavailable"),
    (ModelError, 503, "no-solution"),
)


def status_of(error: GridnetError) -> tuple[int, str]:
    """HTTP status and short name of any of the project's errors; 500 for one that nobody thought of."""
    if isinstance(error, ServiceError):
        return error.status, error.kind
    return next(((status, kind) for family, status, kind in _OTHERS if isinstance(error, family)), (500, "internal"))
