"""Kill the ledger at any moment: what it has acknowledged is there, and what is there is whole."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

import pytest

from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from tests.contracts.gridnet_contracts.ledger.audit import audit
from tests.contracts.gridnet_contracts.ledger.builders import furnish, orders, pay
from tests.contracts.gridnet_contracts.ledger.children import READY, context, die_at, keep_committing, receipts, received, start
from tests.contracts.gridnet_contracts.ledger.stores import Place, Templates

KILLS = 100
"""Per database."""
STRETCH = 25
"""Kills that one ledger lives through; then a fresh one, so that looking it through stays quick."""
LONGEST_S = 0.06
"""A batch takes a tenth to a third of it."""


def _furnished(templates: Templates, folder: Path) -> Place:
    place = templates.founded(folder)
    ledger = Ledger.open(place.url, Seal.at(place.folder))
    furnish(ledger)
    ledger.close()
    return place


def _look_through(place: Place, acknowledged: dict[int, bytes]) -> int:
    ledger = Ledger.open(place.url, Seal.at(place.folder))
    entries = audit(ledger, acknowledged)
    ledger.close()
    return entries


def _kill_again_and_again(templates: Templates, folder: Path, kills: int) -> None:
    forks, chance = context(), random.Random(7)
    acknowledged: dict[int, bytes] = {}
    lives = entries = unacknowledged = 0
    place = _furnished(templates, folder / "0")
    for kill in range(kills):
        if kill % STRETCH == 0 and kill:
            lives += len(acknowledged)
            place, acknowledged = _furnished(templates, folder / str(kill)), {}
            entries = 0
        process, pipe = start(forks, keep_committing, place, kill)
        first = list(itertools.takewhile(lambda message: message != READY, received(pipe)))
        time.sleep(chance.uniform(0, LONGEST_S))
        process.kill()
        fresh = receipts([*first, *received(pipe)])
        pipe.close()
        process.join()
        assert process.exitcode == -9, "it ended by itself: it was refused something"
        assert not fresh.keys() & acknowledged.keys(), "two receipts for one entry"
        acknowledged |= fresh
        before, entries = entries, _look_through(place, acknowledged)
        unacknowledged += entries - before - len(fresh)
    assert lives + len(acknowledged) > kills, "hardly anything was committed before the kills"
    assert unacknowledged > 0, "no kill came between a commit and its receipt"


@pytest.mark.long
def test_kills_lose_nothing_that_was_acknowledged(templates: Templates, tmp_path: Path) -> None:
    _kill_again_and_again(templates, tmp_path, KILLS)


@pytest.mark.conformance
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(templates: Templates, tmp_path: Path) -> None:
    _kill_again_and_again(templates, tmp_path, 5 * KILLS)


def test_a_kill_before_any_step_of_a_commit_leaves_all_or_nothing(templates: Templates, tmp_path: Path) -> None:
    forks = context()
    place = _furnished(templates, tmp_path / "seal")
    entries, grown = _look_through(place, {}), []
    for step in itertools.count(1):
        process, pipe = start(forks, die_at, place, step, step)
        told = list(received(pipe))
        pipe.close()
        process.join()
        before, entries = entries, _look_through(place, receipts(told))
        grown.append(entries - before)
        if told:  # it came to the end before its time
            break
        assert process.exitcode == -9
    assert len(grown) > 15, "the steps are not seen"
    batch = grown[-1]
    assert batch == 8
    assert set(grown) == {0, batch}, "a batch was written in part"
    ledger = Ledger.open(place.url, Seal.at(place.folder))
    [receipt] = ledger.commit(orders(pay(1)))
    audit(ledger, {receipt.entry: receipt.leaf_hash})
    ledger.close()
