"""Prices by bus: stated before the day, settled to the micro-euro."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridnet.app.cli import main
from gridnet.app.community import Community
from gridnet.app.pricing import Pricing
from gridnet.app.run import Run, run_policy
from gridnet.case import Case, load_case
from gridnet.metering.points import meter_points
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.stored import stored_balances
from gridnet_contracts.log.cosignature import Policy
from gridnet_policies.rule import Rule

FIRST = 5 * 96
MORNING = FIRST + 96 + 40


def _community(case: Case) -> Community:
    return Community(case, "tiny", {home.bus: home.name for home in meter_points(case) if home.kind == "home"})


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("tiny")


@pytest.fixture(scope="module")
def played(case: Case) -> Run:
    """Two days."""
    return run_policy(case, Rule(), FIRST, 192)


def _pricing(case: Case, played: Run) -> Pricing:
    pricing = Pricing(_community(case), "dlmp", FIRST)
    pricing.follow(played)
    return pricing


def test_a_day_without_losses_to_speak_of_costs_what_its_marginal_kwh_costs(case: Case, played: Run) -> None:
    prices = _pricing(case, played).at(FIRST + 96 + 2)

    assert prices.import_micro_eur == 150_000
    assert set(prices.dlmp_micro_eur) == {"home-002", "home-003", "home-004"}
    assert all(prices.export_micro_eur <= each <= round(1.3 * prices.import_micro_eur) for each in prices.dlmp_micro_eur.values())


def test_what_happens_in_the_day_changes_nothing_of_its_prices(case: Case, played: Run) -> None:
    before = _pricing(case, played).at(MORNING)
    loads, sun = case.params.load_p_kw.copy(), case.params.pv_p_kw.copy()
    loads[FIRST + 96 :] *= 3.0
    sun[FIRST + 96 :] = 0.0
    series = replace(case.series, load_p_kw=loads, pv_p_kw=sun)
    other = replace(case, series=series, params=case.params._replace(load_p_kw=loads, pv_p_kw=sun))

    assert _pricing(other, played).at(MORNING) == before


def test_the_charge_at_midnight_is_what_the_plan_starts_from(case: Case, played: Run) -> None:
    full = replace(played, truth=replace(played.truth, soc=np.ones_like(played.truth.soc)))
    empty = replace(played, truth=replace(played.truth, soc=np.zeros_like(played.truth.soc)))
    steps = range(FIRST + 96, FIRST + 192)
    stocked, bare = (_pricing(case, run) for run in (full, empty))

    assert [stocked.at(step) for step in steps] != [bare.at(step) for step in steps]


def test_other_rules_have_the_tariff_alone(case: Case) -> None:
    assert Pricing(_community(case), "mid_market", FIRST).at(FIRST).dlmp_micro_eur == {}


def test_a_community_settled_by_bus_comes_out_even_and_is_audited(tmp_path: Path) -> None:
    place = ["--db", f"sqlite:///{tmp_path}/ledger.db", "--seal", str(tmp_path / "seal")]
    assert main(["simulate", "tiny", "--policy", "rule", "--days", "1", "--first-day", "5", "--rule", "dlmp", *place]) == 0
    key = Seal.at(tmp_path / "seal").key.verifier
    database = Database.reading(f"sqlite:///{tmp_path}/ledger.db")
    assert all(outcome.passed for outcome in audit_database(database, Policy(key.name, key)))
    with database.read() as connection:
        due = {account: amount for (account, asset), amount in stored_balances(connection) if asset == "eur-due"}
    database.close()
    assert sum(due.values()) == 0
    assert due["owned/clearing:tiny"] == 0
    assert {"owned/grid", "source/grid"} & due.keys(), "losses have their rent"
