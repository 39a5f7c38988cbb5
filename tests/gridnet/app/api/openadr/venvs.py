"""Other people's clients, unmodified, each in an environment of its own, made once from the package index, in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import pytest

PYTHON = "python3.12"
"""Younger than the project's own least version: what the clients need."""
_MAKING_S = 300
_RUNNING_S = 60


def interpreter() -> str | None:
    """A Python 3.12: on the path, or among pyenv's versions."""
    found = shutil.which(PYTHON)
    # pyenv's shim is on the path whether or not the version that it stands for is chosen.
    if found is not None and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
        return found
    return next((str(each) for each in sorted(Path.home().glob(f".pyenv/versions/3.12*/bin/{PYTHON}"))), None)


def environment(*requirements: str) -> Path:
    """The Python of an environment that holds `requirements`. Skips the test, loudly, where none can be made."""
    base = interpreter()
    if base is None:
        pytest.skip(f"NOT TESTED against {', '.join(requirements)}: there is no {PYTHON}, on the path or among pyenv's versions")
    name = hashlib.sha256(" ".join((base, *requirements)).encode()).hexdigest()[:16]
    folder = platformdirs.user_cache_path("gridnet-tests") / "clients" / name
    folder.mkdir(parents=True, exist_ok=True)
    python, ready = folder / "bin" / "python", folder / "ready"
    # Tests run side by side: one of them makes it, the others wait.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *requirements]
            for command in ([base, "-m", "venv", str(folder)], pip):
                made = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_MAKING_S)
                if made.returncode:
                    pytest.skip(f"NOT TESTED against {', '.join(requirements)}: {made.stderr.strip()[-300:]}")
            ready.touch()
    return python


@dataclass(frozen=True)
class Run:
    """One run of a client's script, which trusts an authority's certificate alone. `heard` gets each line of its standard error."""

    python: Path
    script: Path
    authority: Path
    heard: Callable[[str], None]

    def with_facts(self, **facts: Any) -> Any:
        """What it prints, as JSON. It gets `facts` as its one argument, and a minute."""
        trusting = {"REQUESTS_CA_BUNDLE": str(self.authority), "SSL_CERT_FILE": str(self.authority)}
        command = [str(self.python), "-I", str(self.script), json.dumps(facts)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, env={**os.environ, **trusting}, **pipes) as process:
            # Killed by its own handle, so that a client that hangs ends, and what follows finds its pipes closed.
            limit = threading.Timer(_RUNNING_S, process.kill)
            limit.start()
            try:
                assert process.stderr is not None
                assert process.stdout is not None
                said = []
                for line in process.stderr:
                    said.append(line)
                    self.heard(line)
                printed = process.stdout.read()
                code = process.wait()
            finally:
                limit.cancel()
                process.kill()
        assert code == 0, f"{self.script.name} ended with {code}:\n{printed[-2000:]}\n{''.join(said)[-4000:]}"
        return json.loads(printed)
