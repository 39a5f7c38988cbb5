"""Settings: from where they come, which count more, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.service.config import FALLBACKS, Config
from gridnet.app.service.names import feeder_of, local, qualified
from gridnet.errors import InputError


def _refused(path: Path | None = None, environment: dict[str, str] | None = None, **given: Any) -> set[str]:
    with pytest.raises(InputError) as refused:
        Config.load(path, environment or {}, **given)
    return {fault.where for fault in refused.value.faults}


def test_the_command_line_counts_more_than_the_environment_and_that_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text('policy = "mpc"\nscenario = "tiny"\nseed = 3\npoll_s = 7\nwebhook_hosts = ["a.example", "b.example"]\n')
    environment = {"GRIDNET_SERVE_POLICY": "rule", "GRIDNET_SERVE_SEED": "4", "PATH": "/bin", "GRIDNET_CACHE": "x"}
    config = Config.load(path, environment, seed=5, scenario=None)
    assert (config.policy, config.scenario, config.seed, config.poll_s) == ("rule", "tiny", 5, 7)
    assert config.webhook_hosts == ("a.example", "b.example")
    assert Config.load(None, {}) == Config()


def test_the_environments_text_becomes_a_setting() -> None:
    said = {
        "DECISION_LIMIT_S": "2.5",
        "WEBHOOK_PRIVATE": "true",
        "WEBHOOK_HOSTS": " a.example, b.example,",
        "MOST_BODY_BYTES": "2048",
    }
    config = Config.load(None, {f"GRIDNET_SERVE_{name}": value for name, value in said.items()})
    assert (config.decision_limit_s, config.webhook_private, config.most_body_bytes) == (2.5, True, 2048)
    assert config.webhook_hosts == ("a.example", "b.example")


def test_unknown_keys_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text("colour = 1\n[table]\nx = 1\n")
    assert _refused(path, {"GRIDNET_SERVE_SHAPE": "round"}, size=3) == {"colour", "table", "shape", "size"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decision_limit_s", "soon"),
        ("decision_limit_s", "nan"),
        ("decision_limit_s", "inf"),
        ("decision_limit_s", 0.0),
        ("decision_limit_s", True),
        ("requests_per_minute", 0),
        ("requests_per_minute", 1.5),
        ("requests_per_minute", "many"),
        ("most_body_bytes", 1),
        ("most_nesting", 0),
        ("webhook_private", "maybe"),
        ("webhook_private", 1),
        ("webhook_hosts", 5),
        ("webhook_hosts", [5]),
        ("policy", "chance"),
        ("policy", 5),
        ("poll_s", 0),
        ("post_s", -1),
        ("frames_days", 0),
    ],
)
def test_a_value_that_cannot_be_is_named(name: str, value: Any) -> None:
    assert _refused(**{name: value}) == {name}


def test_all_faults_are_listed_at_once() -> None:
    assert _refused(policy="chance", poll_s=0, seed="x", colour="red") == {"policy", "poll_s", "seed", "colour"}


def test_a_file_that_is_no_settings_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("= 3")
    (tmp_path / "latin.toml").write_bytes(b"scenario = '\xe9'")
    for path in (tmp_path / "none.toml", tmp_path / "broken.toml", tmp_path / "latin.toml", tmp_path):
        assert _refused(path) == {str(path)}


def test_each_policy_falls_back_on_the_simpler_ones() -> None:
    assert Config(policy="rl").policies == FALLBACKS == ("rl", "mpc", "rule")
    assert Config(policy="rule").policies == ("rule",)


def test_further_feeders_have_a_name_and_a_scenario() -> None:
    config = Config.load(
        None, {"GRIDNET_SERVE_FEEDERS": "east=rural1, rural3 , north = /a/b.toml", "GRIDNET_SERVE_KEEPS_FEEDERS": "false"}
    )
    assert config.further == (("east", "rural1"), ("rural3", "rural3"), ("north", "/a/b.toml"))
    assert not config.keeps_feeders
    assert Config().further == ()


@pytest.mark.parametrize(
    "names", [("East",), ("a/b",), ("=rural1",), ("n" * 33,), ("east=",), ("east=rural1", "east=rural3"), ("é",)]
)
def test_a_feeder_that_cant_be_named_so_is_refused(names: tuple[str, ...]) -> None:
    assert _refused(feeders=names) == {"feeders"}


def test_every_feeder_that_cant_be_is_told() -> None:
    with pytest.raises(InputError) as refused:
        Config(feeders=("East", "b/c", "east", "east"), threads=0)
    assert [fault.where for fault in refused.value.faults] == ["threads", "feeders", "feeders", "feeders"]


@given(st.text(st.characters(exclude_characters="="), max_size=40))
def test_a_feeders_name_never_reads_as_two(name: str) -> None:
    try:
        config = Config(feeders=(f"{name}=tiny",))
    except InputError:
        return
    ((known, scenario),) = config.further
    assert scenario == "tiny"
    assert (feeder_of(qualified(known, "bat-00")), local(qualified(known, "bat-00"))) == (known, "bat-00")
