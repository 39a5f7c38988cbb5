"""The observation's layout and its documentation."""

from __future__ import annotations

from pathlib import Path

from gridnet.case import load_case
from gridnet_envs.actions import KNOTS
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.slots import SERIES_SLOTS, STATE_SLOTS, VALUE_SLOTS, device_slots, layout, offset, table, width

GUIDE = Path(__file__).parents[3] / "docs" / "guide.md"


def test_the_guide_shows_the_slots_as_they_are() -> None:
    assert table(SERIES_SLOTS + STATE_SLOTS) in GUIDE.read_text(encoding="utf-8")


def test_the_observation_is_as_wide_as_its_slots() -> None:
    case = load_case("tiny")
    for action in ("value", "setpoints"):
        core = Core(case, Options(action=action, weeks="all"), batch=1)
        assert core.observation.shape == (1, width(layout(case, devices=action == "setpoints")))


def test_an_offset_counts_the_numbers_before_a_slot() -> None:
    assert offset(SERIES_SLOTS, "day") == 0
    assert offset(SERIES_SLOTS, "season") == 2


def test_the_outlook_stands_where_the_devices_would() -> None:
    case = load_case("rural1")
    common = SERIES_SLOTS + STATE_SLOTS
    assert layout(case, devices=False) == common + VALUE_SLOTS
    assert layout(case, devices=True) == common + device_slots(case)
    assert [(slot.name, slot.width) for slot in VALUE_SLOTS] == [("outlook", KNOTS), ("outlook_sun", 1), ("outlook_price", 1)]
