"""What the reports say of themselves, and must never say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gridnet_contracts.reports import consumer, reconciliation, table

ROOT = Path(__file__).resolve().parents[4]
NEVER = re.compile(
    r"(energytag|protocol|ghgp?)[ -]*(is )?(complian|conform|certified|accredited)|carbon[ -]offset|climate[ -]neutral", re.I
)
TEXTS = [ROOT / "docs" / "reports.md", *(Path(each.__file__) for each in (consumer, reconciliation, table))]


@pytest.mark.parametrize("path", TEXTS, ids=[path.name for path in TEXTS])
def test_nothing_promises_more_than_it_is(path: Path) -> None:
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
    assert NEVER.search(text) is None


@pytest.mark.parametrize(
    "text", ["EnergyTag compliant", "GHG Protocol compliant", "GHG Protocol conformant", "a carbon offset", "climate-neutral"]
)
def test_a_promise_is_recognised(text: str) -> None:
    assert NEVER.search(text)


def test_both_forms_say_what_the_certificates_are(world: Any) -> None:
    world.claim(world.issue("2018-06-01T10:00Z", 100))
    books = reconciliation.reconcile(world.database)
    assert books.as_json()["certificates"] == "granular certificate (EnergyTag-shaped)"
    assert books.table().startswith("energy in kWh, by granular certificate (EnergyTag-shaped)")
