"""The settlement's page: its example runs, and the ledger takes what it makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gridnet_contracts.settlement.prices import RULES
from tests.contracts.gridnet_contracts.settlement.books import balances, books, certificates, enter, owed

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "settlement.md").read_text(encoding="utf-8")


def test_the_example_ends_as_the_page_says(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/settlement.md", "exec"), names)
    with books(tmp_path) as ledger:
        for orders in (names["now"], names["correction"], names["release"]):
            enter(ledger, orders)
        assert owed(ledger) == {"ann": -200_000, "bob": 350_000, "utility": -150_000}
        assert balances(ledger, "eur-due") == {
            "source/bob": -350_000,
            "source/utility": -50_000,
            "owned/ann": 200_000,
            "owned/utility": 200_000,
        }
        assert certificates(ledger) == {"pv-ann@2018-06-01T10:15Z/0-1000": "bob"}


def test_every_rule_is_on_the_page() -> None:
    assert [rule for rule in RULES if f"| `{rule}` |" not in PAGE] == []
