"""A synopsis, `gridnet X Y [--option VALUE]`, held against the command line's own parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from gridnet.app.cli import parser
from tests.docs.blocks import Block

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def leaves() -> dict[str, set[str]]:
    """Every command that can be run, `ledger status`, with its long options."""
    return dict(_leaves(parser(), ""))


def _leaves(one: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, set[str]]]:
    below = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        options = {option for action in one._actions for option in action.option_strings if option.startswith("--")}
        yield name, options - {"--help"}
    for action in below:
        for word, child in action.choices.items():
            yield from _leaves(child, f"{name} {word}".strip())


def named(text: str) -> Iterator[tuple[str, set[str]]]:
    """Each command that a synopsis names, with the options it names for it. A line that begins with spaces goes on with the one
    before; what stands behind three spaces or more is a remark."""
    known = leaves()
    said = [re.split(r"(?<=\S) {3,}(?![\[ -])", line)[0] for line in text.splitlines() if not line.startswith(" " * 30)]
    for line in re.sub(r"\n +", " ", "\n".join(said)).splitlines():
        words = line.split()
        if words[:1] == ["gridnet"]:
            path = next((name for n in (2, 1) if (name := " ".join(words[1 : 1 + n])) in known), " ".join(words[1:3]))
            yield path, set(_OPTION.findall(line))


def faults_of_synopsis(block: Block) -> list[str]:
    """Commands and options that a synopsis names and the parser does not know."""
    known, faults = leaves(), []
    for path, options in named(block.text):
        if path not in known:
            faults.append(f"{block}: no command gridnet {path}")
        elif options - known[path]:
            faults.append(f"{block}: gridnet {path} has no {', '.join(sorted(options - known[path]))}")
    return faults
