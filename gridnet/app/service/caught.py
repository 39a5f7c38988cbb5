"""Keeping a thread alive whatever happens in one turn of it.

The project forbids broad excepts. A thread that others rely on is where one is needed, so it stands here once, and what it catches
is always told to somebody.
"""

from __future__ import annotations

from types import TracebackType

from gridnet.errors import GridnetError


class Caught:
    """A context that ends an error instead of passing it on; `words` says which, None where there was none."""

    def __init__(self) -> None:
        self.words: str | None = None

    def __enter__(self) -> Caught:
        """To look at `words` afterwards."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Keeps the words of an error; what ends the process goes on."""
        if not isinstance(error, Exception):
            return False
        name = "" if isinstance(error, GridnetError) else f"{type(error).__name__}: "
        self.words = f"{name}{(str(error).splitlines() or [''])[0][:200]}"
        return True
