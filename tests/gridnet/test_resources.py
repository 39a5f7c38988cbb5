"""Shipped data are found in a checkout and in an installed wheel; the cache is where the user says."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gridnet import resources

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_reads_the_folders_of_the_tree() -> None:
    assert resources.data_dir() == ROOT / "data"
    assert resources.trained_dir() == ROOT / "policies" / "trained"


def test_an_installed_package_reads_what_it_shipped_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "gridnet")
    (tmp_path / "gridnet" / "_shipped" / "data").mkdir(parents=True)

    assert resources.data_dir() == tmp_path / "gridnet" / "_shipped" / "data"
    assert resources.trained_dir() == tmp_path / "policies" / "trained"  # not shipped, so the checkout's place


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDNET_CACHE", str(tmp_path))
    assert resources.cache_dir() == tmp_path


@pytest.mark.parametrize("named", [None, ""])
def test_the_cache_is_the_users_cache_folder_otherwise(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if named is None:
        monkeypatch.delenv("GRIDNET_CACHE")
    else:
        monkeypatch.setenv("GRIDNET_CACHE", named)
    assert resources.cache_dir().is_absolute()
    assert resources.cache_dir().parts.count("gridnet") >= 1


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("gridnet_dispatch-*.whl")
    return built


def _packed(folder: str, inside: str, pattern: str) -> set[str]:
    """Where the files below a folder of the tree must lie in the wheel."""
    files = [path for path in (ROOT / folder).rglob(pattern) if path.is_file() and "__pycache__" not in path.parts]
    return {f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" for path in files}


def test_the_wheel_carries_the_packages_and_the_shipped_files(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())

    assert _packed("gridnet", "gridnet", "*.py") <= packed
    assert _packed("envs/gridnet_envs", "gridnet_envs", "*.py") <= packed
    assert _packed("policies/gridnet_policies", "gridnet_policies", "*.py") <= packed
    assert _packed("contracts/gridnet_contracts", "gridnet_contracts", "*.*") <= packed, "migrations have a template beside them"
    assert _packed("data", "gridnet/_shipped/data", "*") <= packed
    assert _packed("policies/trained", "gridnet/_shipped/trained", "*") <= packed


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} <= {
        "gridnet",
        "gridnet_envs",
        "gridnet_policies",
        "gridnet_contracts",
    }


def test_an_unpacked_wheel_lists_the_shipped_scenarios(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    listing = "import gridnet.scenario as s; print(s.__file__, *s.shipped_scenarios(), sep='\\n')"
    answer = subprocess.run(
        [sys.executable, "-c", listing],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    module, *scenarios = answer.stdout.splitlines()

    assert Path(module).is_relative_to(tmp_path)
    assert scenarios == sorted(path.stem for path in (ROOT / "data" / "scenarios").glob("*.toml"))
    assert "rural1" in scenarios
