"""Errors say what is wrong, where and what to do, and carry the same facts for programs."""

from __future__ import annotations

import pickle

import pytest

from gridnet.errors import Fault, GridnetError, Infeasible, InputError, ModelError, PowerFlowDiverged


def test_a_fault_reads_as_where_got_expected() -> None:
    fault = Fault("home.toml: battery.soc_min", "2.0", "less than 1")
    assert str(fault) == "home.toml: battery.soc_min: got 2.0, expected less than 1"


def test_an_input_error_lists_every_fault_on_a_line_of_its_own() -> None:
    faults = [Fault("a.toml: x", "1", "2"), Fault("a.toml: y", "3", "4")]
    error = InputError("a.toml can't be used:", faults)

    assert str(error).splitlines() == ["a.toml can't be used:", f"  - {faults[0]}", f"  - {faults[1]}"]
    assert error.faults == tuple(faults)


def test_an_input_error_without_faults_is_its_message() -> None:
    error = InputError("no scenario file a.toml")
    assert str(error) == "no scenario file a.toml"
    assert error.faults == ()


def test_an_error_carries_its_facts() -> None:
    error = PowerFlowDiverged("no solution at step 3", device="home_7", step=3, expected=0.9, got=0.1, unit="pu")
    assert (error.device, error.step, error.expected, error.got, error.unit) == ("home_7", 3, 0.9, 0.1, "pu")


def test_facts_that_were_not_given_are_absent() -> None:
    error = ModelError("no answer")
    assert (error.device, error.step, error.expected, error.got, error.unit) == (None,) * 5


def test_facts_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        GridnetError("no answer", "home_7")  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [InputError, ModelError, PowerFlowDiverged, Infeasible])
def test_every_error_is_a_gridnet_error(kind: type[GridnetError]) -> None:
    with pytest.raises(GridnetError, match="why"):
        raise kind("why")


def test_a_shell_can_tell_a_wrong_input_from_a_model_without_an_answer() -> None:
    assert InputError("x").exit_code == 2
    assert PowerFlowDiverged("x").exit_code == Infeasible("x").exit_code == 3
    assert GridnetError("x").exit_code == 1


@pytest.mark.parametrize(
    "error", [InputError("wrong:", [Fault("a", "b", "c")]), Infeasible("no schedule", device="home_7", step=4)]
)
def test_an_error_survives_the_way_back_from_a_worker_process(error: GridnetError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
