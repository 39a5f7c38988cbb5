"""Programmes from TOML: what ships, and every fault of what can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridnet.errors import InputError
from gridnet_contracts.rewards.programme import MILLION, SERVICES, UNITS, load_programme, shipped_programmes

SOUND = """
name = "street"
title = "Street"
unit = "point"
epoch_days = 1
budget = 10
[weights_ppm]
readings = 1_000_000
"""


def written(folder: Path, text: str) -> Path:
    """A programme file."""
    path = folder / "street.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_ships_can_be_used_and_gives_its_whole_budget() -> None:
    assert shipped_programmes() == ["community"]
    programme = load_programme("community")
    assert programme.name == "community"
    assert set(programme.weights_ppm) == set(SERVICES) == set(UNITS)
    assert sum(programme.weights_ppm.values()) == MILLION


def test_a_file_is_read_with_defaults(tmp_path: Path) -> None:
    programme = load_programme(written(tmp_path, SOUND))
    assert (programme.budget, programme.asset, programme.terms.high_mv) == (10, "grt", 236_900)


def test_every_fault_is_listed(tmp_path: Path) -> None:
    text = SOUND.replace("budget = 10", "budget = 0\nbonus = 1").replace('unit = "point"', "epochs = 2").replace("= 1\n", "= 1.5\n")
    with pytest.raises(InputError) as refusal:
        load_programme(written(tmp_path, text + "[terms]\npeak_hours = [24]\n"))
    found = {fault.where.rpartition(": ")[2]: fault for fault in refusal.value.faults}
    assert set(found) == {"budget", "bonus", "epochs", "unit", "epoch_days", "terms"}
    assert (found["bonus"].expected, found["unit"].got) == ("no such key", "nothing")


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("readings = 1_000_001", "1000000 in all"),
        ("readings = 600_000\navailability = 400_001", "1000000 in all"),
        ("readings = 0", "1 or more"),
        ("smiles = 5", "readings"),
        ("", "at least 1"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path: Path, weights: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        load_programme(written(tmp_path, SOUND.replace("readings = 1_000_000", weights)))


@pytest.mark.parametrize("terms", ["low_mv = 240_000", "peak_hours = [17, 17]", "peak_hours = [-1]", "high_mv = 1.5"])
def test_terms_that_say_nothing_are_refused(tmp_path: Path, terms: str) -> None:
    with pytest.raises(InputError, match="terms"):
        load_programme(written(tmp_path, f"{SOUND}[terms]\n{terms}\n"))


def test_no_file_and_no_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shipped: community"):
        load_programme("nowhere")
    with pytest.raises(InputError, match="not a TOML file"):
        load_programme(written(tmp_path, "name ="))
