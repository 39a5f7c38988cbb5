"""Whole numbers shared out so that the parts are whole and their sum is exact.

Largest remainder (Hamilton's method): each part is rounded down, and what is then missing goes, one unit each, to the largest
remainders. Of equal remainders the name that sorts first comes first, so that the same input has one answer. A part grows with its
own weight and never shrinks with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from gridnet.errors import Fault, InputError


def apportion(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """`total` in proportion to the weights; each part is its quota rounded down or up. Keys as given.

    Raises `InputError` for anything below zero, and where there is something to share and no weight above zero.
    """
    faults = [Fault(f"weight of {name}", str(weight), "0 or more") for name, weight in weights.items() if weight < 0]
    whole = sum(weights.values())
    if total < 0 or (total > 0 and whole <= 0):
        faults.append(Fault("total", str(total), "0 or more, and 0 where no weight is above 0"))
    if faults:
        raise InputError("nothing can be shared out this way:", faults)
    return _filled(total, {name: divmod(total * weight, whole) if whole else (0, 0) for name, weight in weights.items()})


def round_together(amounts: Mapping[str, int], unit: int) -> dict[str, int]:
    """Amounts in whole units of `unit`, each rounded down or up, so that their sum is the sum of the amounts rounded up."""
    total = -(-sum(amounts.values()) // unit)
    return _filled(total, {name: divmod(amount, unit) for name, amount in amounts.items()})


def _filled(total: int, parts: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Parts given as (rounded down, remainder), the largest remainders rounded up until the sum is `total`."""
    missing = total - sum(floor for floor, _ in parts.values())
    ranked = sorted(parts, key=lambda name: (-parts[name][1], name))
    raised = set(ranked[:missing])
    return {name: floor + (name in raised) for name, (floor, _) in parts.items()}
