"""RL-ADN's task from its wheel: every figure that arrives, the voltages, and refusals. Most tests use a small wheel made here, of
the same layout; those with the real one run where the variable RL_ADN_WHEEL names it."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridnet import simulate
from gridnet.app import rl_adn
from gridnet.app.bench.arbitrage import PERFECT, PROFILE, arbitrage, evaluation_days
from gridnet.app.cli import main
from gridnet.app.rl_adn import WHEEL_SHA256, import_rl_adn
from gridnet.case import Case, load_case
from gridnet.errors import InputError
from gridnet.simulate import State
from gridnet.tariff import make_prices

NODES = 34
STEPS = 2 * 96
LATE = 100
"""The row that the series shows a second late, without price and generation."""
REAL = os.environ.get("RL_ADN_WHEEL")
with_real_wheel = pytest.mark.skipif(REAL is None, reason="RL_ADN_WHEEL names no wheel of rl-adn 0.1.3")


def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Nodes, lines (a row of nodes with a branch) and series, as the wheel words them."""
    rng = np.random.default_rng(7)
    nodes = pd.DataFrame({"NODES": range(1, NODES + 1), "Tb": [1] + [0] * (NODES - 1), "PD": 100.0, "QD": 50.0})
    start = [*range(1, 20), 5, *range(21, NODES)]
    lines = pd.DataFrame({"FROM": start, "TO": range(2, NODES + 1), "R": rng.uniform(0.1, 0.3, NODES - 1), "X": 0.05, "B": 0})
    series: dict[str, object] = {"date_time": pd.date_range("2020-07-17", periods=STEPS, freq="15min", tz="UTC").astype(str)}
    series |= {f"active_power_node_{node}": rng.uniform(50, 150, STEPS) for node in range(1, NODES + 1)}
    series |= {f"renewable_active_power_node_{node}": rng.uniform(0, 40, STEPS) for node in range(1, NODES + 1)}
    table = pd.DataFrame({**series, "price": rng.uniform(-9, 87, STEPS)})
    table.loc[LATE, "date_time"] = table.loc[LATE, "date_time"].replace(":00+", ":01+")
    table.loc[LATE, ["renewable_active_power_node_12", "price"]] = np.nan
    return nodes, lines, table


@pytest.fixture(scope="module")
def content() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for member, table in zip((rl_adn._NODES, rl_adn._LINES, rl_adn._SERIES), tables(), strict=True):
            wheel.writestr(member, table.to_csv(index=False))
        wheel.writestr(rl_adn._LICENCE, "MIT License, as far as this test goes")
    return buffer.getvalue()


@pytest.fixture
def wheel(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that passes for the real one."""
    monkeypatch.setattr(rl_adn, "WHEEL_SHA256", hashlib.sha256(content).hexdigest())
    path = tmp_path / "small.whl"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def imported(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("rl_adn")
    (folder / "small.whl").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rl_adn, "WHEEL_SHA256", hashlib.sha256(content).hexdigest())
        return import_rl_adn(folder / "small.whl", str(folder / "out"))


@pytest.fixture(scope="module")
def case(imported: list[Path]) -> Case:
    return load_case(imported[0])


def test_the_series_are_net_load_and_price_in_our_sign(case: Case) -> None:
    _, _, series = tables()
    net = np.stack(
        [series[f"active_power_node_{n}"] - series[f"renewable_active_power_node_{n}"] for n in range(2, NODES + 1)], axis=1
    )
    kept = np.arange(STEPS) != LATE
    assert case.clock.start.isoformat() == "2020-07-17T00:00:00+00:00"
    assert (case.clock.steps, case.clock.utc_offset_h) == (STEPS, 0.0)
    np.testing.assert_allclose(case.series.load_p_kw[kept], -net[kept], rtol=1e-12)
    np.testing.assert_allclose(case.series.price_eur_per_mwh[kept], series["price"][kept], rtol=1e-12)
    assert not case.series.load_q_kvar.any()
    assert not case.series.carbon_g_per_kwh.any()
    assert case.series.pv_p_kw.shape == (STEPS, 0)


def test_the_row_with_gaps_lies_half_way_between_its_neighbours(case: Case) -> None:
    _, _, series = tables()
    around = series.loc[[LATE - 1, LATE + 1]]
    assert case.series.price_eur_per_mwh[LATE] == pytest.approx(around["price"].mean())
    net = around["renewable_active_power_node_12"].mean() - series["active_power_node_12"][LATE]
    assert case.series.load_p_kw[LATE, 10] == pytest.approx(net)


def test_loads_and_batteries_sit_where_the_task_puts_them(case: Case) -> None:
    feeder = case.feeder
    assert feeder.load.name == tuple(f"node {node}" for node in range(2, NODES + 1))
    assert feeder.load_bus.tolist() == list(range(1, NODES))
    assert [feeder.bus_name[bus] for bus in feeder.battery_bus] == ["node 12", "node 16", "node 27", "node 30", "node 34"]
    assert feeder.slack_bus == 0
    assert (feeder.bus_kv == 11.0).all()


def test_batteries_and_prices_are_those_of_the_task(case: Case) -> None:
    fleet, battery, limits = case.fleet, case.scenario.battery, case.scenario.limits
    assert fleet.p_kw.tolist() == [300.0] * 5
    assert fleet.e_kwh.tolist() == [1000.0] * 5
    assert fleet.s_kva.tolist() == [300.0] * 5
    assert (fleet.efficiency.tolist(), fleet.keep, fleet.soc_window.tolist()) == ([1.0, 1.0], 1.0, [0.2, 0.8])
    assert (battery.soc_start, battery.wear_eur_per_kwh, limits.vm_min_pu, limits.vm_max_pu) == (0.4, 0.0, 0.95, 1.05)
    prices = make_prices(case.scenario, case.series)
    np.testing.assert_allclose(prices.import_eur_per_kwh, case.series.price_eur_per_mwh / 1e3)
    np.testing.assert_allclose(prices.export_eur_per_kwh, prices.import_eur_per_kwh)
    assert (prices.co2_eur_per_kg, prices.peak_eur_per_kw) == (0.0, 0.0)


def test_the_second_scenario_differs_in_capacity_alone(case: Case, imported: list[Path]) -> None:
    shipped = load_case(imported[1])
    assert [path.stem for path in imported] == ["rl_adn34", "rl_adn34_as_shipped"]
    assert shipped.fleet.e_kwh.tolist() == [3000.0] * 5
    assert shipped.fleet.p_kw.tolist() == case.fleet.p_kw.tolist()
    np.testing.assert_array_equal(shipped.feeder.model.admittance, case.feeder.model.admittance)
    np.testing.assert_array_equal(shipped.series.load_p_kw, case.series.load_p_kw)


def voltages(power_kw: np.ndarray) -> np.ndarray:
    """|v| of every node by fixed point on the lines' impedances, 11 kV and 1000 kVA, drawing `power_kw` (nodes,)."""
    _, lines, _ = tables()
    admittance = np.zeros((NODES, NODES), dtype=complex)
    for row in lines.itertuples():
        y = 11.0**2 / complex(row.R, row.X)
        start, end = row.FROM - 1, row.TO - 1
        admittance[[start, end], [start, end]] += y
        admittance[[start, end], [end, start]] -= y
    inverse, to_slack = np.linalg.inv(admittance[1:, 1:]), admittance[1:, 0]
    v = np.ones(NODES - 1, dtype=complex)
    for _ in range(100):
        v = inverse @ (-np.conj(power_kw[1:] / 1e3 / v) - to_slack)
    return np.concatenate([[1.0], np.abs(v)])


def test_voltages_are_those_of_the_lines_with_the_batteries_at_work(case: Case) -> None:
    asked = np.zeros((1, 2, 5))
    asked[0, 0] = [300.0, -250.0, 100.0, 0.0, -300.0]
    _, transition = simulate.step(State(np.array([17]), np.full((1, 5), 0.5)), asked, case.params)
    draw = np.zeros(NODES)
    draw[1:] = -case.series.load_p_kw[17]
    draw[[11, 15, 26, 29, 33]] -= asked[0, 0]
    expected = voltages(draw)
    assert expected.min() < 0.99
    np.testing.assert_allclose(transition.vm_pu[0], expected, atol=1e-9)
    assert transition.loading_percent.max() == 0.0  # the task rates no line


def test_the_command_says_what_it_wrote(wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep" / "out"
    assert main(["import", "rl-adn", str(wheel), str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / f"{name}.toml") for name in ("rl_adn34", "rl_adn34_as_shipped")]
    assert (folder / "LICENSE.rl-adn").read_text() == "MIT License, as far as this test goes"


def test_a_missing_wheel_is_told_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "rl-adn", str(tmp_path / "none.whl"), str(tmp_path / "out")]) == 2
    text = capsys.readouterr().err
    assert "pip download rl-adn==0.1.3 --no-deps" in text
    assert "No such file" in text
    assert not (tmp_path / "out").exists()


def test_another_wheel_and_a_full_folder_are_refused_together(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.whl"
    path.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as refused:
        import_rl_adn(path, str(tmp_path))
    (folder, file) = refused.value.faults
    assert (folder.where, file.where) == ("DIR", "FILE")
    assert hashlib.sha256(content).hexdigest() in file.got
    assert WHEEL_SHA256 in file.expected
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_a_file_is_refused(wheel: Path) -> None:
    with pytest.raises(InputError, match="DIR: got"):
        import_rl_adn(wheel, str(wheel))


@with_real_wheel
def test_the_real_wheel_gives_the_published_bar(tmp_path: Path) -> None:
    captured = []
    for path in import_rl_adn(Path(str(REAL)), str(tmp_path / "out")):
        case = load_case(path)
        scores = arbitrage(case, evaluation_days(case.clock))
        assert len(scores[PERFECT].saved_eur) == 45
        captured.append(scores[PROFILE].saved_eur.sum() / scores[PERFECT].saved_eur.sum())
    assert captured == pytest.approx([0.886, 0.928], abs=1e-3)
