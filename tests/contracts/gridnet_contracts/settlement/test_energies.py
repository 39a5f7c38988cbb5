"""Energies that can be settled, and what stands in for a missing reading."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gridnet.errors import InputError
from gridnet_contracts.settlement.energies import HomeEnergy, check_energies, substitute
from tests.contracts.gridnet_contracts.settlement.builders import START


def test_a_substitute_is_the_mean_of_the_same_quarter_hour_of_the_last_week_rounded_up() -> None:
    known = {START - timedelta(days=1): 100, START - timedelta(days=7): 201}
    elsewhere = {
        START - timedelta(days=8): 9000,
        START - timedelta(days=1, minutes=15): 9000,
        START: 9000,
        START + timedelta(days=1): 9000,
    }
    assert substitute("ann", START, known | elsewhere, profile_wh=7) == HomeEnergy("ann", 0, 151, substituted=True)


def test_without_a_past_it_is_the_profile_and_a_past_of_zero_is_a_past() -> None:
    assert substitute("ann", START, {}, profile_wh=7) == HomeEnergy("ann", 0, 7, substituted=True)
    assert substitute("ann", START, {START - timedelta(days=3): 0}, profile_wh=7).drawn_wh == 0


def test_sound_energies_pass() -> None:
    check_energies([HomeEnergy("ann", 0, 0), HomeEnergy("bob", 5, 0), HomeEnergy("cy", 0, 5, substituted=True)])


def test_every_fault_is_listed() -> None:
    with pytest.raises(InputError) as refusal:
        check_energies([HomeEnergy("ann", -1, -2), HomeEnergy("ann", 0, 0), HomeEnergy("cy", 5, 0, substituted=True)])
    assert [fault.where for fault in refusal.value.faults] == ["ann: injected_wh", "ann: drawn_wh", "ann", "cy: injected_wh"]
