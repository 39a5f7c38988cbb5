"""The one way numba compiles here: plain IEEE arithmetic, cached on disk under a hash of every kernel's source.

numba's own cache looks only at the file of the function that is called, so a kernel would go on with the old version of another
that it calls from a different file. Here any edit of any kernel starts a cache of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from gridnet.errors import InputError
from gridnet.resources import cache_dir

_PACKAGES = ("gridnet", "gridnet_envs", "gridnet_policies")
_MARK = "gridnet.kernels"

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compiles `function` with numba in nopython mode on first use; division by zero gives inf or NaN, as in numpy."""
    return cast(Function, numba.njit(cache=True, error_model="numpy")(function))


def _sources() -> list[Path]:
    """Every file of the packages that holds kernels, in a fixed order."""
    folders = [Path(folder) for name in _PACKAGES if (spec := find_spec(name)) for folder in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return [file for file in files if _MARK in file.read_text(encoding="utf-8")]


def _cache_folder() -> Path:
    digest = hashlib.sha256()
    for file in _sources():
        digest.update(file.read_bytes())
    for base in (cache_dir(), Path(tempfile.gettempdir()) / "gridnet"):
        folder = base / "kernels" / digest.hexdigest()[:16]
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    raise InputError("no folder for compiled kernels can be written to; set GRIDNET_CACHE to one that can")


setattr(numba.config, "CACHE_DIR", str(_cache_folder()))  # noqa: B010  (numba makes its settings at import; type checkers see none)
