"""The code blocks of a page, as a Markdown parser sees them, and what is asked of each.

A block is fenced and names its language. A comment before it, `<!-- block: WORD WORD -->`, says more:

| word | meaning |
|---|---|
| `minutes` | takes minutes, or seconds that the quick tests spend on the same commands of another page |
| `server` | needs the service, which the block or one before it starts |
| `index` | needs a package index |
| `make` | lines of `make` |
| `shown` | (console) the output shown is an example, not what every run prints |
| `fails` | (console) every command ends with an exit code that is not 0 |
| `synopsis` | (text) commands with placeholders and options in brackets |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]

LATER = frozenset({"minutes", "server", "index", "make"})
"""Words with which a block runs under the marker `conformance`."""
WORDS = LATER | {"shown", "fails", "synopsis"}
EXECUTED = frozenset({"console", "python", "toml", "json"})
SHOWN = frozenset({"text", "{toctree}", "{eval-rst}"})

_COMMENT = re.compile(r"<!-- block:([^>]*)-->\s*$")


class Faulty(Exception):
    """A page whose blocks are not as they should be."""


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is the line of its fence, from 1."""

    page: str
    line: int
    language: str
    words: frozenset[str]
    text: str

    @property
    def later(self) -> bool:
        """Whether it runs under `conformance` alone."""
        return bool(self.words & LATER)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A line of a console block, continuations joined, and the output that stands below it."""

    line: str
    output: str

    @property
    def gridnet(self) -> bool:
        """Whether it is a command of this project."""
        return self.line.split()[0] == "gridnet"


def read(page: str, text: str) -> tuple[list[Block], list[str]]:
    """The fenced blocks of a page, in order, and what hides blocks from this reading: indentation, words that no block follows."""
    found, words, faults = [], None, []
    for token in MarkdownIt("commonmark").parse(text):
        line = (token.map or [0])[0] + 1
        comment = _COMMENT.search(token.content) if token.type == "html_block" else None
        if words is not None and token.type != "fence":
            faults.append(f"{page}:{line}: words for a block, and no block after them")
            words = None
        if token.type == "code_block":
            faults.append(f"{page}:{line}: an indented block; fence it and name its language")
        elif comment is not None:
            words = frozenset(comment[1].split())
        elif token.type == "fence":
            found.append(Block(page, line, token.info.strip(), words or frozenset(), token.content))
            words = None
    if words is not None:
        faults.append(f"{page}: words for a block at the end of the page")
    return found, faults


def blocks_in(page: str) -> tuple[list[Block], list[str]]:
    """`read` of one of `PAGES`."""
    return read(page, (ROOT / page).read_text(encoding="utf-8"))


def faults_of(block: Block) -> list[str]:
    """What is wrong with a block's language and words."""
    faults = []
    if block.language not in EXECUTED | SHOWN:
        faults.append(f"{block}: the language is '{block.language}', expected one of {', '.join(sorted(EXECUTED | SHOWN))}")
    if block.words - WORDS:
        faults.append(f"{block}: unknown words: {', '.join(sorted(block.words - WORDS))}")
    if (block.words & {"shown", "fails"}) and block.language != "console":
        faults.append(f"{block}: 'shown' and 'fails' are said of a console block")
    if "synopsis" in block.words and block.language != "text":
        faults.append(f"{block}: a synopsis is a text block")
    if block.language == "console" and not block.text.startswith("$ "):
        faults.append(f"{block}: a console block begins with a command, '$ ..'")
    commands = re.search(r"^(\$|gridnet|make|pip|python) ", block.text, re.MULTILINE)
    if block.language == "text" and "synopsis" not in block.words and commands:
        faults.append(f"{block}: a text block with a command, which nobody would run: {commands[0]}")
    return faults


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block."""
    commands: list[tuple[str, list[str]]] = []
    going_on = False
    for line in block.text.splitlines():
        if going_on:
            before, output = commands[-1]
            commands[-1] = (f"{before.removesuffix(chr(92)).rstrip()} {line.strip()}", output)
        elif line.startswith("$ "):
            commands.append((line.removeprefix("$ "), []))
        else:
            commands[-1][1].append(line)
            continue
        going_on = line.endswith("\\")
    return [Command(line.strip(), "\n".join(output).strip("\n")) for line, output in commands]
