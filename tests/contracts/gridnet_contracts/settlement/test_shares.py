"""Sharing whole numbers out: exact sums, quotas kept, and growth that is never punished."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.settlement.shares import apportion, round_together

weights = st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 50), min_size=1).filter(lambda each: sum(each.values()) > 0)
totals = st.integers(0, 200)


def test_the_largest_remainders_are_rounded_up() -> None:
    assert apportion(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert apportion(10, {"c": 6, "b": 3, "a": 2}) == {"c": 5, "b": 3, "a": 2}  # 5.45, 2.73, 1.82


def test_nothing_is_shared_among_nobody_and_something_is_refused() -> None:
    assert apportion(0, {}) == {}
    assert apportion(0, {"a": 0}) == {"a": 0}
    for total, among in ((1, {}), (1, {"a": 0}), (-1, {"a": 1})):
        with pytest.raises(InputError, match="total"):
            apportion(total, among)


def test_every_weight_below_zero_is_named() -> None:
    with pytest.raises(InputError) as refusal:
        apportion(5, {"a": -1, "b": 4, "c": -2})
    assert [fault.where for fault in refusal.value.faults] == ["weight of a", "weight of c"]


@given(totals, weights)
def test_the_sum_is_exact_and_each_part_is_its_quota_rounded(total: int, among: dict[str, int]) -> None:
    parts, whole = apportion(total, among), sum(among.values())
    assert sum(parts.values()) == total
    assert all(total * among[name] // whole <= part <= -(-total * among[name] // whole) for name, part in parts.items())


@given(totals, weights, st.integers(1, 60))
def test_a_part_never_shrinks_as_its_weight_grows_and_order_does_not_matter(total: int, among: dict[str, int], more: int) -> None:
    name = min(among)
    assert apportion(total, among | {name: among[name] + more})[name] >= apportion(total, among)[name]
    assert apportion(total, dict(sorted(among.items(), reverse=True))) == apportion(total, among)


def test_amounts_are_rounded_together() -> None:
    assert round_together({"a": 1500, "b": -1500}, 1000) == {"a": 2, "b": -2}
    assert round_together({"a": 1400, "b": 1300, "c": 1000}, 1000) == {"a": 2, "b": 1, "c": 1}  # 3.7 together, rounded up
    assert round_together({}, 1000) == {}


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(-5000, 5000)))
def test_amounts_rounded_together_keep_their_sum(amounts: dict[str, int]) -> None:
    rounded = round_together(amounts, 1000)
    assert sum(rounded.values()) == -(-sum(amounts.values()) // 1000)
    assert all(amounts[name] // 1000 <= whole <= -(-amounts[name] // 1000) for name, whole in rounded.items())
