"""Every command and code block of README.md and docs/ is executed, and this file counts them.

What takes minutes, a server, a package index or `make` runs under the marker `conformance`; of these the quick tests look at
whether the command line's parser takes the commands, whether Python compiles and imports, and whether the target of `make` exists.
"""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

import pytest

from gridnet.app.cli import parser
from tests.docs.blocks import EXECUTED, PAGES, ROOT, Block, Command, Faulty, blocks_in, commands_of, faults_of, read
from tests.docs.running import NOT_AGAIN, imports_of, matches, plan_of, port_is_free, runner
from tests.docs.synopsis import faults_of_synopsis, leaves, named

BLOCKS = {page: blocks_in(page)[0] for page in PAGES}
QUICK = [page for page in PAGES if any(not block.later and block.language in EXECUTED for block in BLOCKS[page])]
LATER = [page for page in PAGES if any(block.later for block in BLOCKS[page])]


def _executed(page: str) -> list[Block]:
    return [block for block in BLOCKS[page] if block.language in EXECUTED]


def parsed(command: Command) -> None:
    """Holds a command against the command line's parser without running it. Raises `Faulty`."""
    words = shlex.split(re.split(r" (?:[|&]|2?>)", command.line)[0], comments=True)
    try:
        parser().parse_args(words[1:])
    except SystemExit as error:
        raise Faulty(f"the parser does not take: {command.line}") from error


def looked_at(block: Block) -> None:
    """What the quick tests do with a block that runs later."""
    if block.language == "python":
        imports_of(block)
    for command in commands_of(block) if block.language == "console" else ():
        if command.gridnet:
            parsed(command)
        if "make" in block.words:
            plan_of(command)


def test_every_block_is_fenced_and_says_what_it_is() -> None:
    assert [fault for page in PAGES for fault in blocks_in(page)[1]] == []
    assert [fault for page in PAGES for block in BLOCKS[page] for fault in faults_of(block)] == []


def test_no_block_stays_unexecuted() -> None:
    fences = re.compile(rf"^(```+)({'|'.join(EXECUTED)})\s*$", re.MULTILINE)
    for page in PAGES:
        quick = [block for block in _executed(page) if page in QUICK and not block.later]
        later = [block for block in _executed(page) if page in LATER and block.later]
        assert len(quick) + len(later) == len(fences.findall((ROOT / page).read_text(encoding="utf-8"))), page
    assert sum(len(_executed(page)) for page in PAGES) > 30, "the blocks were not found"


@pytest.mark.parametrize("page", QUICK)
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    blocks = [block for block in _executed(page) if not block.later]
    with runner(tmp_path) as made:
        for block in blocks:
            made.run(block)
    assert made.executed == blocks


@pytest.mark.parametrize("page", LATER)
def test_what_runs_later_is_understood(page: str) -> None:
    for block in BLOCKS[page]:
        if block.later:
            looked_at(block)


@pytest.mark.conformance
@pytest.mark.parametrize("page", LATER)
def test_all_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    words = frozenset[str]().union(*(block.words for block in BLOCKS[page]))
    assert "server" not in words or port_is_free(8443), "something listens on port 8443, where the page's server would"
    # What a page trains may warn of what it does not save or of a short run: its reader sees that too.
    with runner(tmp_path) as made, warnings.catch_warnings(action="default"):
        for block in _executed(page):
            made.run(block)
    assert made.executed == _executed(page)


def test_every_synopsis_names_commands_and_options_that_exist() -> None:
    found = [block for page in PAGES for block in BLOCKS[page] if "synopsis" in block.words]
    assert found
    assert [fault for block in found for fault in faults_of_synopsis(block)] == []


def test_the_readme_s_synopsis_is_complete() -> None:
    said: dict[str, set[str]] = {}
    for block in BLOCKS["README.md"]:
        if "synopsis" in block.words:
            for path, options in named(block.text):
                said.setdefault(path, set()).update(options)
    assert said == leaves()


def test_a_target_that_runs_these_tests_is_not_run_by_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:[^\n]*\n(\t[^\n]*\n)*?\t[^\n]*pytest", makefile, re.MULTILINE) for target in NOT_AGAIN)


FENCE = "```"


def _one(language: str, text: str, words: str = "") -> Block:
    comment = f"<!-- block: {words} -->\n" if words else ""
    [block], _ = read("docs/x.md", f"Words.\n\n{comment}{FENCE}{language}\n{text}\n{FENCE}\n")
    return block


def test_a_block_is_read_with_its_words_and_its_line() -> None:
    block = _one("console", "$ gridnet scenarios", "minutes shown")
    assert (block.line, block.language, block.words, block.later) == (4, "console", {"minutes", "shown"}, True)
    assert not _one("python", "x = 1").later


@pytest.mark.parametrize(
    "text",
    [
        "Words:\n\n    gridnet scenarios\n",
        "<!-- block: minutes -->\n\nWords.\n\n```python\nx = 1\n```\n",
        "<!-- block: server -->\n",
    ],
)
def test_a_block_that_would_be_missed_is_seen(text: str) -> None:
    assert [fault for fault in read("docs/x.md", text)[1] if fault.startswith("docs/x.md")]


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("", "x", ""),
        ("bash", "ls", ""),
        ("console", "gridnet scenarios", ""),
        ("console", "$ gridnet scenarios", "hours"),
        ("python", "x = 1", "shown"),
        ("console", "$ gridnet scenarios", "synopsis"),
        ("text", "gridnet scenarios", ""),
        ("text", "x\n$ ls", ""),
    ],
)
def test_a_block_of_an_unknown_kind_is_seen(language: str, text: str, words: str) -> None:
    assert faults_of(_one(language, text, words))


@pytest.mark.parametrize(
    ("language", "text", "words"), [("text", "gridnet X", "synopsis"), ("text", "a  b", ""), ("json", "{}", "")]
)
def test_a_block_of_a_known_kind_passes(language: str, text: str, words: str) -> None:
    assert faults_of(_one(language, text, words)) == []


def test_commands_are_parted_from_their_output() -> None:
    block = _one("console", "$ echo a \\\n    b\na b\n$ true")
    assert commands_of(block) == [Command("echo a b", "a b"), Command("true", "")]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a  1.0", "a  1.0  \n", True),
        ("a  1.0", "a  2.0\n", False),
        ("a  ...", "a  2.0\n", True),
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\n...\nz", "a\nb\n", False),
        ("a", "a\nb\n", False),
        ("a.b", "axb\n", False),
    ],
)
def test_output_is_compared(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("console", "$ echo a\nb", ""),
        ("console", "$ false", ""),
        ("console", "$ true", "fails"),
        ("console", "$ gridnet scenario nowhere", ""),
        ("python", "assert 1 == 2", ""),
        ("toml", "a = ", ""),
        ("json", "{", ""),
        ("console", "$ make nothing-of-that-name", "make"),
    ],
)
def test_a_block_that_is_not_true_fails(language: str, text: str, words: str, tmp_path: Path) -> None:
    with runner(tmp_path) as made, pytest.raises((Faulty, AssertionError, ValueError)):
        made.run(_one(language, text, words))
    assert made.executed == []


def test_the_commands_of_a_page_share_a_folder_with_its_python(tmp_path: Path) -> None:
    with runner(tmp_path) as made:
        made.run(_one("console", "$ echo 7 > seven"))
        made.run(_one("python", "from pathlib import Path\nseven = int(Path('seven').read_text())"))
        made.run(_one("python", "assert seven == 7"))
    assert len(made.executed) == 3


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("console", "$ gridnet bench --nonsense", "minutes"),
        ("console", "$ gridnet nonsense", "server"),
        ("console", "$ make nonsense", "make"),
        ("python", "from gridnet.case import nonsense", "minutes"),
        ("python", "x =", "minutes"),
    ],
)
def test_what_would_fail_later_is_seen_before(language: str, text: str, words: str) -> None:
    with pytest.raises((Faulty, ImportError, SyntaxError)):
        looked_at(_one(language, text, words))


@pytest.mark.parametrize(
    "text", ["gridnet nonsense", "gridnet bench [--nonsense N]", "gridnet ledger\n    gridnet ledger status [--out F]"]
)
def test_a_synopsis_that_is_not_true_is_seen(text: str) -> None:
    assert faults_of_synopsis(_one("text", text, "synopsis"))


def test_a_synopsis_may_go_on_and_carry_remarks() -> None:
    text = f"gridnet bench [SCENARIO] [--seeds N]\n              [--json FILE]\n{' ' * 40}what --nonsense is not"
    assert faults_of_synopsis(_one("text", text, "synopsis")) == []
    assert list(named(text)) == [("bench", {"--seeds", "--json"})]
