"""What a run was made with: the state of the source and the versions of the packages that shape its numbers."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "gridnet-dispatch",
    "gymnasium",
    "numba",
    "numpy",
    "pandapower",
    "pandas",
    "scipy",
    "simbench",
    "stable-baselines3",
    "torch",
)
_GIT_S = 10


def provenance() -> dict[str, Any]:
    """`git`: commit and whether tracked files differ from it, or None outside a checkout; `versions` by package, None for
    one that is used from its source without having been installed."""
    return {"git": git_state(Path(__file__)), "versions": {"python": platform.python_version(), **_versions()}}


def git_state(file: Path) -> dict[str, Any] | None:
    """Commit of the checkout that tracks `file`, and whether it is dirty; None where git is absent or doesn't track it."""
    # An installed package can lie inside a checkout of something else, whose commit says nothing: hence the first question.
    if _git(file, "ls-files", "--error-unmatch", file.name) is None:
        return None
    commit, changed = _git(file, "rev-parse", "HEAD"), _git(file, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changed is None else {"commit": commit, "dirty": bool(changed)}


def _git(file: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=file.parent, capture_output=True, text=True, check=True, timeout=_GIT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
