"""The rewards' page: its programme loads, its sum comes out, and every service stands on it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from gridnet_contracts.rewards.epoch import Rendered, reward
from gridnet_contracts.rewards.programme import UNITS, Terms, load_programme

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "rewards.md").read_text(encoding="utf-8")


def test_the_programme_loads_and_its_sum_comes_out(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "street.toml").write_text(text, encoding="utf-8")
    programme = load_programme(tmp_path / "street.toml")
    assert programme.terms == Terms()
    rendered = [Rendered("ann", "readings", 96, 1_000_000), Rendered("bob", "readings", 96, 500_000)]
    assert reward(programme, datetime(2018, 6, 1, tzinfo=UTC), rendered).rewards == {"ann": 200, "bob": 100}


def test_every_service_and_its_unit_are_on_the_page() -> None:
    assert [service for service, unit in UNITS.items() if f"| `{service}` | {unit} |" not in PAGE] == []
