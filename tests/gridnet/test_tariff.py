"""Prices and the worth of stored energy, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.devices import Fleet
from gridnet.scenario import Tariff
from gridnet.tariff import Prices, make_prices, mean_price_value


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("rural1")


def prices(imported: list[float], exported: list[float], wear: float = 0.01) -> Prices:
    return Prices(np.array(imported), np.array(exported), np.zeros(len(imported)), 0.0, wear)


def fleet(case: Case) -> Fleet:
    return case.fleet._replace(efficiency=np.array([0.9, 0.8]))


def test_import_is_spot_plus_fee_and_export_is_spot(case: Case) -> None:
    scenario = case.scenario.model_copy(update={"tariff": Tariff(grid_fee_eur_per_mwh=150.0, co2_price_eur_per_t=80.0)})
    steps = case.clock.steps
    spot = np.linspace(-50.0, 200.0, steps)
    made = make_prices(scenario, replace(case.series, price_eur_per_mwh=spot, carbon_g_per_kwh=np.full(steps, 400.0)))

    np.testing.assert_allclose(made.import_eur_per_kwh[[0, -1]], [0.10, 0.35])
    np.testing.assert_allclose(made.export_eur_per_kwh[[0, -1]], [-0.05, 0.20])
    assert made.carbon_kg_per_kwh[0] == pytest.approx(0.4)
    assert made.co2_eur_per_kg == pytest.approx(0.08)
    assert made.wear_eur_per_kwh == 0.01


def test_a_fixed_feed_in_replaces_the_spot_price_of_export_only(case: Case) -> None:
    scenario = case.scenario.model_copy(update={"tariff": Tariff(grid_fee_eur_per_mwh=100.0, feed_in_eur_per_mwh=82.0)})
    made = make_prices(scenario, case.series)
    np.testing.assert_allclose(made.export_eur_per_kwh, 0.082)
    np.testing.assert_allclose(made.import_eur_per_kwh, case.series.price_eur_per_mwh / 1e3 + 0.1)


def test_stored_energy_is_bought_dear_and_sold_cheap(case: Case) -> None:
    # over the run of two steps: mean import 0.30, mean export 0.06
    given = prices([9.0, 0.25, 0.35, 9.0], [9.0, 0.05, 0.07, 9.0])

    value = mean_price_value(given, fleet(case), start=1, steps=2)

    # A kWh in store gives 0.8 kWh at the terminals, each at 0.01 of wear: it saves import or earns export.
    assert value.shortfall_eur_per_kwh == pytest.approx(0.8 * (0.30 - 0.01))
    assert value.surplus_eur_per_kwh == pytest.approx(0.8 * (0.06 - 0.01))
    assert value.cost_eur(-2.0) == pytest.approx(2.0 * 0.232)
    assert value.cost_eur(3.0) == pytest.approx(-3.0 * 0.04)
    assert value.cost_eur(0.0) == 0.0


@pytest.mark.parametrize(("imported", "exported"), [(0.3, 0.005), (0.1, -0.2), (0.02, 0.4), (-0.3, -0.4)])
def test_ending_empty_and_ending_full_never_pay_together(case: Case, imported: float, exported: float) -> None:
    """Else a policy could earn by moving energy past the end of the run."""
    value = mean_price_value(prices([imported], [exported]), fleet(case), 0, 1)
    assert value.surplus_eur_per_kwh >= 0.0
    assert value.shortfall_eur_per_kwh >= value.surplus_eur_per_kwh
    assert value.cost_eur(-1.0) + value.cost_eur(1.0) >= 0.0
