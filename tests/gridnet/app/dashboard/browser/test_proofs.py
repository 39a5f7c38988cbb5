"""Proofs in a real browser: a true one turns green under the right key, and one that somebody between changed turns red."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridnet.app.community import seal_in
from gridnet_contracts.ledger.store import StoredTiles
from gridnet_contracts.log import tiles
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from gridnet_contracts.log.keys import SignerKey
from gridnet_contracts.log.merkle import leaf_hash
from tests.gridnet.app.dashboard.browser.browsing import Site, Window
from tests.gridnet.app.dashboard.browser.pages import claimed

Change = Callable[[list[str]], None]
PROOFS = "**/feeds/audit/proof?**"


@pytest.fixture(scope="module")
def signer(site: Site, lived_folder: Path) -> SignerKey:
    """The log's own key, as a thief of it would have it."""
    return seal_in(lived_folder / "seal", site.lived.live.case.scenario.name).key


@pytest.fixture
def window(site: Site) -> Iterator[Window]:
    """An auditor's, at a claimed certificate."""
    with site.window("auditor") as made:
        made.open(f"/audit/certificates/{claimed(site)}")
        yield made
        assert made.wrong == []


def checkpoint(site: Site, key: SignerKey, size: int, root: bytes | None = None) -> list[str]:
    """The lines of a signed head at a size; of a history that never was where a root is given."""
    with site.lived.service.store.read() as connection:
        true = tiles.root(StoredTiles(connection), size)
    return sign(Checkpoint(key.name, size, root or true), key).decode().splitlines()


def serve(window: Window, change: Change) -> None:
    """From now on somebody between server and browser changes the lines of each proof."""

    def changed(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        lines = body["proof"].splitlines()
        change(lines)
        body["proof"] = "\n".join(lines) + "\n"
        route.fulfill(response=answer, body=json.dumps(body))

    window.page.unroute(PROOFS)
    window.page.route(PROOFS, changed)


def verify(window: Window, key: str) -> tuple[bool, str]:
    """Trusts the key, verifies the first entry: whether it turned green, and what was said."""
    window.page.fill("#key", key)
    window.page.locator("button.verify").first.click()
    window.page.wait_for_function("() => document.activeElement.id === 'outcome'")
    mark = window.see("#outcome p > span")
    colour = mark.evaluate("(each) => getComputedStyle(each).color")
    good, bad = (
        window.page.evaluate(
            "(name) => { const one = document.createElement('span'); one.className = name; document.body.append(one);"
            " const found = getComputedStyle(one).color; one.remove(); return found; }",
            name,
        )
        for name in ("good", "bad")
    )
    assert good != bad
    passed = mark.inner_text() == "Verified"
    assert colour == (good if passed else bad)
    state = window.see("tr[data-entry] .state")
    assert state.inner_text() == ("verified here" if passed else "NOT verified")
    assert state.evaluate("(each) => getComputedStyle(each).color") == colour
    return passed, window.text("#outcome")


def flip(lines: list[str], number: int, at: int) -> None:
    """Flips one bit of the last word of a line, which is base64."""
    head, _, last = lines[number].rpartition(" ")
    raw = bytearray(b64decode(last))
    raw[at] ^= 1
    lines[number] = f"{head} {b64encode(raw).decode()}".strip()


def parts(lines: list[str]) -> tuple[int, int]:
    """Where the checkpoint begins, and where its signatures do."""
    first = lines.index("")
    return first + 1, lines.index("", first + 1) + 1


def test_a_true_proof_turns_green_under_the_right_key(window: Window, site: Site, signer: SignerKey, shots: Path) -> None:
    passed, words = verify(window, signer.verifier.encode())
    assert passed
    assert words.count("holds") == 6
    window.page.click("#verify-all")
    rows = window.page.locator("tr[data-entry]").count()
    window.page.wait_for_selector(f"#outcome > p:has-text('{rows} of {rows} entries verified in this browser')")
    assert window.page.locator("tr[data-entry] .state.good").count() == rows >= 5
    window.page.screenshot(path=shots / "verified.png", full_page=True)


CHANGES: dict[str, Change] = {
    "entry": lambda lines: flip(lines, 1, 40),
    "path": lambda lines: flip(lines, 3, 7),
    "the last of the path": lambda lines: flip(lines, parts(lines)[0] - 2, 31),
    "root": lambda lines: flip(lines, parts(lines)[0] + 2, 0),
    "signature": lambda lines: flip(lines, parts(lines)[1], 20),
    "size": lambda lines: lines.__setitem__(parts(lines)[0] + 1, str(int(lines[parts(lines)[0] + 1]) - 1)),
    "index": lambda lines: lines.__setitem__(2, f"index {int(lines[2].split()[1]) ^ 1}"),
}
SAID = {
    "entry": "it was changed",
    "path": "it was changed",
    "the last of the path": "it was changed",
    "root": "it was changed or forged",
    "signature": "it was changed or forged",
    "size": "it was changed or forged",
    "index": "it was changed",
}


def test_each_part_of_a_proof_that_is_changed_turns_it_red(window: Window, signer: SignerKey, shots: Path) -> None:
    for part, change in CHANGES.items():
        serve(window, change)
        passed, words = verify(window, signer.verifier.encode())
        assert not passed, part
        assert SAID[part] in words
        assert "What the proven entry says" not in words
    window.page.screenshot(path=shots / "refused-proof.png", full_page=True)
    serve(window, lambda lines: None)
    assert verify(window, signer.verifier.encode())[0], "the proof is refused for being intercepted, not for its change"


def test_a_wrong_key_turns_a_true_proof_red(window: Window, signer: SignerKey) -> None:
    wrong = SignerKey(signer.name, bytes(range(32))).verifier.encode()
    passed, words = verify(window, wrong)
    assert not passed
    assert "has not signed this checkpoint" in words
    passed, words = verify(window, signer.verifier.encode()[:-6])
    assert not passed
    assert "This key can't be trusted" in words


def test_another_entry_s_true_proof_turns_red(window: Window, signer: SignerKey) -> None:
    rows = window.page.locator("tr[data-entry]")
    first, second = (rows.nth(number).get_attribute("data-entry") for number in (0, 1))
    window.page.route(PROOFS, lambda route: route.continue_(url=route.request.url.replace(f"entry={first}", f"entry={second}")))
    passed, words = verify(window, signer.verifier.encode())
    assert not passed
    assert f"another entry than entry {second} has" in words


def test_an_older_head_is_no_cover_for_a_proof_and_is_told(window: Window, site: Site, signer: SignerKey) -> None:
    key = signer.verifier.encode()
    assert verify(window, key)[0]
    entry = int(window.see("tr[data-entry]").get_attribute("data-entry") or 0)
    old = checkpoint(site, signer, entry + 100)

    def replayed(lines: list[str]) -> None:
        lines[parts(lines)[0] :] = old

    serve(window, replayed)
    passed, words = verify(window, key)
    assert not passed
    assert "FAILS The entry stands in the tree under that checkpoint" in words

    # A whole proof of that time is a true one of the same history: it holds, and the browser says that it knows better.
    with site.lived.service.store.read() as connection:
        path = tiles.inclusion(StoredTiles(connection), entry, entry + 100)
    serve(window, lambda lines: lines.__setitem__(slice(3, None), [*(b64encode(each).decode() for each in path), "", *old]))
    passed, words = verify(window, key)
    assert passed
    assert "an older head than the one seen here" in words


def test_a_second_history_under_the_log_s_own_key_turns_red_where_the_first_was_seen(
    window: Window, site: Site, signer: SignerKey
) -> None:
    """Who holds the key can sign anything; a browser that has seen the log before is not deceived."""
    key = signer.verifier.encode()
    assert verify(window, key)[0]
    lone = b'{"forged":1}'

    def forged(lines: list[str]) -> None:
        true = json.loads(b64decode(lines[1].removeprefix("extra ")))
        leaf = json.dumps({**true, "seq": 0}, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
        made = tiles.MemoryTiles()
        made.append(0, [leaf_hash(each) for each in (leaf, lone)])
        head = sign(Checkpoint(signer.name, 2, tiles.root(made, 2)), signer).decode().splitlines()
        path = [b64encode(each).decode() for each in tiles.inclusion(made, 0, 2)]
        lines[1:] = [f"extra {b64encode(leaf).decode()}", "index 0", *path, "", *head]

    serve(window, forged)
    passed, words = verify(window, key)
    assert not passed
    assert "FAILS The log continues what this browser saw before" in words
    window.page.click("#forget")
    passed, words = verify(window, key)
    assert not passed, "the page's row is of another entry"
    assert "holds The log continues what this browser saw before: nothing was seen before" in words


def test_the_key_is_remembered_and_forgotten(window: Window, signer: SignerKey) -> None:
    key = signer.verifier.encode()
    assert verify(window, key)[0]
    window.page.reload()
    window.until("#key-words", f"Trusted as in an earlier visit: {signer.name}.")
    assert window.page.input_value("#key") == key
    window.page.click("#forget")
    assert window.page.evaluate("localStorage.length") == 0


def test_a_file_of_one_s_own_is_verified(window: Window, site: Site, signer: SignerKey) -> None:
    window.page.fill("#key", signer.verifier.encode())
    proof = window.page.evaluate("fetch('/console/feeds/audit/proof?entry=115').then((each) => each.json())")["proof"]
    for text, verdict in ((proof, "Verified in this browser"), (proof.replace("index 115", "index 114"), "NOT verified")):
        window.page.set_input_files("#file", {"name": "one.tlog-proof", "mimeType": "text/plain", "buffer": text.encode()})
        window.page.wait_for_selector(f"#outcome p:has-text('{verdict}')")
