"""Runs the blocks of a page in order, in an empty folder, with this checkout's `gridnet` first on PATH."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, Block, Command, Faulty, commands_of

LINE_S = 1800.0
"""A command that takes longer than this has hung."""
READY_S = 180.0
READY = {"gridnet serve": "Uvicorn running", "gridnet device": "registered with"}
"""Commands that go on until they are stopped, and what they say once they are there."""
NOT_AGAIN = frozenset({"test", "conformance"})
"""Targets that would run these tests inside themselves: of these the plan alone is looked at (`make -n`)."""


@dataclass
class Runner:
    """One page on its way; `executed` are the blocks that were run."""

    folder: Path
    bin: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    executed: list[Block] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    def run(self, block: Block) -> None:
        """Runs one block; raises `Faulty` or what the block raises."""
        if block.language == "console":
            for command in commands_of(block):
                self._command(block, command)
        elif block.language == "python":
            code = compile("\n" * block.line + block.text, str(ROOT / block.page), "exec")
            exec(code, self.names)
        elif block.language == "toml":
            tomllib.loads(block.text)
        else:
            json.loads(block.text)
        self.executed.append(block)

    def _command(self, block: Block, command: Command) -> None:
        if "make" in block.words:
            _make(command, self.folder)
            return
        ready = next((said for start, said in READY.items() if command.line.startswith(start)), None)
        if ready is not None:
            self.stack.enter_context(_going_on(command, ready, self.folder, self.bin))
            return
        done = subprocess.run(
            ["bash", "-c", command.line],
            cwd=self.folder,
            env=_environment(self.bin),
            capture_output=True,
            text=True,
            timeout=LINE_S,
            check=False,
        )
        if "index" in block.words and command.line.startswith("pip ") and done.returncode:
            pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
        if bool(done.returncode) != ("fails" in block.words):
            raise Faulty(f"{block}: exit code {done.returncode} of: {command.line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        if command.output and "shown" not in block.words and not matches(command.output, done.stdout):
            raise Faulty(f"{block}: {command.line}\nthe page says:\n{command.output}\nit printed:\n{done.stdout}{done.stderr}")


@contextmanager
def runner(folder: Path) -> Iterator[Runner]:
    """A runner whose servers and devices are stopped at the end."""
    page = folder / "page"
    page.mkdir()
    made = Runner(page, _programs(folder / "bin"))
    before = Path.cwd()
    os.chdir(page)
    try:
        with made.stack:
            yield made
    finally:
        os.chdir(before)


def matches(shown: str, printed: str) -> bool:
    """Whether `printed` is what a page shows: `...` stands for anything within a line, on a line of its own for any lines.
    Spaces at the ends of lines don't count."""
    lines = [line.rstrip() for line in shown.splitlines()]
    parts = [r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n" for line in lines]
    text = "".join(line.rstrip() + "\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch("".join(parts), text) is not None


def imports_of(block: Block) -> None:
    """Of a Python block that runs later: it compiles, and what it imports is there."""
    tree = ast.parse(block.text, str(block))
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(tree, str(ROOT / block.page), "exec"), {})


def plan_of(command: Command) -> None:
    """Of a line of `make`: its target exists. Raises `Faulty`."""
    words = command.line.split("#")[0].split()
    done = subprocess.run([*words[:1], "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    if words[0] != "make" or done.returncode:
        raise Faulty(f"{command.line}: {done.stderr}")


def _programs(folder: Path) -> Path:
    """A folder with `gridnet`, `python` and `pip` of this checkout and this interpreter."""
    folder.mkdir(parents=True)
    starts = {"gridnet": "-m gridnet.app.cli", "python": "", "pip": "-m pip"}
    for name, module in starts.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def _environment(programs: Path) -> dict[str, str]:
    roots = [str(ROOT / part) for part in (".", "envs", "policies", "contracts")]
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(roots),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def _going_on(command: Command, ready: str, folder: Path, programs: Path) -> Iterator[None]:
    log = folder.parent / f"log-{len(list(folder.parent.glob('log-*')))}"
    sent = re.search(r" 2?> (\S+)$", command.line)
    watched = folder / sent[1] if sent else log
    with log.open("wb") as said:
        process = subprocess.Popen(
            ["bash", "-c", command.line], cwd=folder, env=_environment(programs), stdout=said, stderr=said, start_new_session=True
        )
    try:
        end = time.monotonic() + READY_S
        while not (watched.exists() and ready in watched.read_text()):
            if process.poll() is not None or time.monotonic() > end:
                raise Faulty(f"{command.line} did not begin:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _make(command: Command, folder: Path) -> None:
    """Runs a target on a copy of the tree, with this interpreter in the place of the environment that it would install."""
    plan_of(command)
    words = command.line.split("#")[0].split()
    if set(words) & NOT_AGAIN:
        return
    tree, venv = folder / "tree", folder / "venv"
    if not tree.exists():
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in names:
            if name and (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_bytes((ROOT / name).read_bytes())
        _programs(venv / "bin")
        for name, content in {".made-in": f"{tree}\n", ".ready": "", ".ready-to-test": "", ".ready-for-docs": ""}.items():
            (venv / name).write_text(content)
    roots = os.pathsep.join(str(tree / part) for part in (".", "envs", "policies", "contracts"))
    done = subprocess.run(
        [*words, f"VENV={venv}", f"PYTHON={sys.executable}"],
        cwd=tree,
        env={**_environment(venv / "bin"), "PYTHONPATH": roots},
        capture_output=True,
        text=True,
        timeout=LINE_S,
        check=False,
    )
    if done.returncode:
        raise Faulty(f"{command.line}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}")


def port_is_free(port: int) -> bool:
    """Whether nothing listens there."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0
