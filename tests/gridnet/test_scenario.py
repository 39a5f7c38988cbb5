"""Scenarios: frozen, complete, and every fault of a file reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gridnet.errors import InputError
from gridnet.resources import data_dir
from gridnet.scenario import Scenario, load_scenario, shipped_scenarios

MINIMAL = """
name = "home"
title = "A street"
[network]
builtin = "cigre_lv"
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "home.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _refused(folder: Path, text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load_scenario(_written(folder, text))
    return caught.value


def _only_fault(folder: Path, text: str) -> tuple[str, str, str]:
    """The key, what it got and what was expected, of a file with exactly one fault."""
    [fault] = _refused(folder, text).faults
    return fault.where.removeprefix(f"{folder / 'home.toml'}: "), fault.got, fault.expected


def test_the_promised_scenarios_ship() -> None:
    assert {"rural1", "rural3", "semiurb4", "urban6", "cigre_lv", "ieee33", "tiny"} <= set(shipped_scenarios())


@pytest.mark.parametrize("name", shipped_scenarios())
def test_a_shipped_scenario_parses_under_its_own_name(name: str) -> None:
    assert load_scenario(name).name == name


def test_a_minimal_file_leaves_the_rest_at_its_defaults(tmp_path: Path) -> None:
    scenario = load_scenario(_written(tmp_path, MINIMAL))
    assert (scenario.name, scenario.network.builtin) == ("home", "cigre_lv")
    assert (scenario.limits.vm_min_pu, scenario.limits.vm_max_pu) == (0.90, 1.10)
    assert scenario.battery.soc_min <= scenario.battery.soc_start <= scenario.battery.soc_max


def test_a_path_may_be_given_as_text(tmp_path: Path) -> None:
    path = _written(tmp_path, MINIMAL)
    assert load_scenario(str(path)) == load_scenario(path)


def test_an_unknown_name_gives_the_names_near_it() -> None:
    with pytest.raises(InputError, match=r"no scenario named 'rurall'; did you mean .*rural1"):
        load_scenario("rurall")


def test_a_name_like_no_other_gives_all_that_ship() -> None:
    with pytest.raises(InputError) as caught:
        load_scenario("zzzz")
    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in shipped_scenarios())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no scenario file .*gone\.toml"):
        load_scenario(tmp_path / "gone.toml")


@pytest.mark.parametrize("content", [b"name = ", b'title = "\xff"'])
def test_a_file_that_is_not_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "home.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"home\.toml is not a TOML file"):
        load_scenario(tmp_path / "home.toml")


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    fault = _only_fault(tmp_path, MINIMAL + "[battery]\nefficiency = 0.9\n")
    assert fault == ("battery.efficiency", "0.9", "no such key")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    key, got, _ = _only_fault(tmp_path, MINIMAL.replace('title = "A street"', ""))
    assert (key, got) == ("title", "nothing")


@pytest.mark.parametrize("value", ["1.0", "nan", "-inf", "0.5", '"low"'])
def test_a_value_out_of_range_is_refused(value: str, tmp_path: Path) -> None:
    key, _, _ = _only_fault(tmp_path, MINIMAL + f"[limits]\nvm_min_pu = {value}\n")
    assert key == "limits.vm_min_pu"


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_price_is_a_finite_number(value: str, tmp_path: Path) -> None:
    fault = _only_fault(tmp_path, MINIMAL + f"[tariff]\nfeed_in_eur_per_mwh = {value}\n")
    assert fault == ("tariff.feed_in_eur_per_mwh", value, "a finite number")


def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path) -> None:
    key, got, _ = _only_fault(tmp_path, MINIMAL.replace('"home"', '"../home"'))
    assert (key, got) == ("name", "'../home'")


@pytest.mark.parametrize("network", ["", 'simbench = "1-LV-rural1--2-sw"\nbuiltin = "ieee33"'])
def test_a_network_has_exactly_one_source(network: str, tmp_path: Path) -> None:
    key, _, expected = _only_fault(tmp_path, MINIMAL.replace('builtin = "cigre_lv"', network))
    assert (key, expected) == ("network", "exactly one of simbench, builtin, file")


@pytest.mark.parametrize(
    ("battery", "expected"),
    [
        ("soc_min = 0.6\nsoc_max = 0.6\nsoc_start = 0.6", "soc_min below soc_max"),
        ("soc_start = 0.01", "soc_start between soc_min and soc_max"),
    ],
)
def test_states_of_charge_are_in_order(battery: str, expected: str, tmp_path: Path) -> None:
    assert _only_fault(tmp_path, MINIMAL + f"[battery]\n{battery}\n")[::2] == ("battery", expected)


def test_all_faults_of_a_file_come_at_once(tmp_path: Path) -> None:
    text = """
        name = "home"
        tariff = "no_such_tariff"
        colour = "green"
        [network]
        file = "gone.json"
        [limits]
        vm_max_pu = 2.0
        [series.price]
        file = "gone.csv"
    """
    error = _refused(tmp_path, text)
    path = tmp_path / "home.toml"
    keys = {fault.where.removeprefix(f"{path}: ") for fault in error.faults}

    assert keys == {"title", "tariff", "colour", "network.file", "limits.vm_max_pu", "series.price.file"}
    assert f"  - {path}: limits.vm_max_pu: got 2.0, expected less than 1.5" in str(error).splitlines()


def test_a_tariff_is_taken_by_name(tmp_path: Path) -> None:
    for shipped in (data_dir() / "tariffs").glob("*.toml"):
        text = MINIMAL.replace("[network]", f'tariff = "{shipped.stem}"\n[network]')
        by_hand = MINIMAL + "[tariff]\n" + shipped.read_text(encoding="utf-8")
        assert load_scenario(_written(tmp_path, text)) == load_scenario(_written(tmp_path, by_hand))


def test_an_unknown_tariff_lists_those_that_ship(tmp_path: Path) -> None:
    key, got, expected = _only_fault(tmp_path, MINIMAL.replace("[network]", 'tariff = "none_such"\n[network]'))
    assert (key, got) == ("tariff", "'none_such'")
    assert all(shipped.stem in expected for shipped in (data_dir() / "tariffs").glob("*.toml"))


def test_files_are_read_relative_to_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.json").write_text("{}")
    (tmp_path / "price.csv").write_text("time,value\n")
    text = MINIMAL.replace('builtin = "cigre_lv"', 'file = "net.json"') + '[series.price]\nfile = "price.csv"\n'
    path = _written(tmp_path, text)
    monkeypatch.chdir(tmp_path.parent)

    for given in (path, path.relative_to(tmp_path.parent)):
        scenario = load_scenario(given)
        assert scenario.network.file == tmp_path / "net.json"
        assert scenario.series.price is not None
        assert scenario.series.price.file == tmp_path / "price.csv"


def test_a_scenario_does_not_change(tmp_path: Path) -> None:
    scenario = load_scenario(_written(tmp_path, MINIMAL))
    with pytest.raises(ValidationError, match="frozen"):
        scenario.title = "Another street"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        scenario.battery.soc_min = 0.2  # type: ignore[misc]


def _with_price(folder: Path, price: str, tail: str = "") -> Scenario:
    folder.mkdir(exist_ok=True)
    (folder / "price.csv").write_text(price)
    return load_scenario(_written(folder, MINIMAL + '[series.price]\nfile = "price.csv"\n' + tail))


def test_the_fingerprint_is_the_same_wherever_the_files_lie(tmp_path: Path) -> None:
    assert _with_price(tmp_path / "a", "1").fingerprint() == _with_price(tmp_path / "b", "1").fingerprint()


def test_the_fingerprint_changes_with_a_parameter_and_with_a_file(tmp_path: Path) -> None:
    first = _with_price(tmp_path, "1").fingerprint()
    another_price = _with_price(tmp_path, "2").fingerprint()
    another_limit = _with_price(tmp_path, "1", "[limits]\nvm_min_pu = 0.91\n").fingerprint()
    assert len({first, another_price, another_limit}) == 3


def test_the_fingerprint_changes_when_two_files_change_places(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / f"{name}.csv").write_text(name)
    series = '[series.price]\nfile = "{}.csv"\n[series.carbon]\nfile = "{}.csv"\n'
    first = load_scenario(_written(tmp_path, MINIMAL + series.format("x", "y"))).fingerprint()
    assert load_scenario(_written(tmp_path, MINIMAL + series.format("y", "x"))).fingerprint() != first


@pytest.mark.parametrize("method", ["climatology", "persistence", "boosted"])
def test_a_scenario_names_its_forecast(method: str, tmp_path: Path) -> None:
    written = _written(tmp_path, MINIMAL + f'[forecast]\nmethod = "{method}"\n')
    assert load_scenario(written).forecast.method == method


def test_an_unknown_forecast_is_refused_with_those_there_are(tmp_path: Path) -> None:
    key, got, expected = _only_fault(tmp_path, MINIMAL + '[forecast]\nmethod = "oracle"\n')
    assert (key, got) == ("forecast.method", "'oracle'")
    assert all(method in expected for method in ("climatology", "persistence", "boosted"))


def test_the_forecast_is_climatology_where_none_is_named(tmp_path: Path) -> None:
    assert load_scenario(_written(tmp_path, MINIMAL)).forecast.method == "climatology"
