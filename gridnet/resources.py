"""Where shipped data, shipped weights and the cache live, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str, in_checkout: str) -> Path:
    """A shipped folder: inside the package when installed from a wheel, at the top of the tree in a checkout."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.is_dir() else _PACKAGE.parent / in_checkout


def data_dir() -> Path:
    """The folder with `scenarios/`, `tariffs/` and the embedded market table."""
    return _shipped("data", "data")


def trained_dir() -> Path:
    """The folder with the shipped policies, one folder each."""
    return _shipped("trained", "policies/trained")


def onchain_dir() -> Path:
    """The folder with the contract's source and what it compiles to."""
    return _shipped("onchain", "contracts/onchain")


def cache_dir() -> Path:
    """The folder for compiled scenarios: `$GRIDNET_CACHE`, else the user's cache folder."""
    named = os.environ.get("GRIDNET_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("gridnet"))
