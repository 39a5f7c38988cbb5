"""A case from the cache is the case that was made, and its key sees what shapes it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridnet import case as case_module
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.errors import InputError
from gridnet.resources import cache_dir
from gridnet.scenario import Households, load_scenario


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRIDNET_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    return tmp_path


def load_anew(name: str) -> Case:
    """As a new process would: past the cache in memory."""
    return case_module._load.__wrapped__(load_scenario(name))


def assert_same(one: Any, other: Any, where: str = "case") -> None:
    assert type(one) is type(other), where
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, where
        np.testing.assert_array_equal(one, other, err_msg=where)
    elif isinstance(one, tuple):
        assert len(one) == len(other), where
        for part, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{where}[{part}]")
    else:
        assert one == other, where


def test_a_case_from_the_cache_is_the_case_that_was_made(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = load_anew("ieee33")
    assert len(list(own_cache.rglob("*.case"))) == 1

    def refuse(_: object) -> None:
        raise AssertionError("a warm cache must not compile")

    monkeypatch.setattr(case_module, "_compile", refuse)
    assert_same(load_anew("ieee33"), fresh)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # shown by test_cache.py: the damaged file stays open
def test_a_damaged_entry_is_made_anew(own_cache: Path) -> None:
    fresh = load_anew("ieee33")
    entry = next(own_cache.rglob("*.case"))
    good = entry.read_bytes()
    entry.write_bytes(good[: len(good) // 2])

    assert_same(load_anew("ieee33"), fresh)
    assert entry.read_bytes() == good


def test_a_warm_case_needs_neither_pandapower_nor_simbench() -> None:
    """They take seconds to import: a command on a warm cache must not pay for them."""
    load_case("rural1")
    script = """
        import sys
        from gridnet.case import load_case
        load_case("rural1")
        assert not {"pandapower", "simbench", "torch", "stable_baselines3"} & set(sys.modules), sorted(sys.modules)
    """
    root = str(Path(__file__).resolve().parents[2])
    env = {"GRIDNET_CACHE": str(cache_dir())}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=root, env=env)


def test_what_shapes_a_case_shapes_its_key() -> None:
    scenario = load_scenario("ieee33")
    other = scenario.model_copy(update={"households": Households(seed=2, homes_per_load=60)})
    assert case_module._key(scenario) == case_module._key(load_scenario("ieee33"))
    assert case_module._key(scenario) != case_module._key(other)


def test_a_case_starts_every_battery_at_the_scenario_s_charge() -> None:
    case = load_case("rural1")
    state = case.start(step=96, batch=3)
    np.testing.assert_array_equal(state.step, [96, 96, 96])
    np.testing.assert_array_equal(state.soc, np.full((3, case.fleet.batteries), 0.5))


def test_devices_stand_in_one_order_batteries_then_pv() -> None:
    case = load_case("rural1")
    np.testing.assert_array_equal(case.params.device_bus, [*case.feeder.battery_bus, *case.feeder.pv_bus])
    rated_kw = np.concatenate([case.feeder.battery.p_kw, case.feeder.pv.p_rated_kw])
    np.testing.assert_allclose(case.fleet.s_kva, rated_kw * 1.1)
    assert case.series.load_p_kw.max() <= 0.0
    assert case.series.pv_p_kw.min() >= 0.0
    assert case.clock.dt_h * STEPS_PER_DAY == 24.0


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean rural1"):
        load_case("rural11")


def test_a_case_at_rest_gives_its_series_again() -> None:
    case = load_anew("rural1")
    load_p_kw, prices = case.params.load_p_kw.copy(), case.prices
    case.rest()
    np.testing.assert_array_equal(case.params.load_p_kw, load_p_kw)
    assert case.prices is prices
