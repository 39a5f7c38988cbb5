"""The rules of the house that no linter states: each is held against the tree, and shown a breach that it must see."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOTS = ("gridnet", "envs/gridnet_envs", "policies/gridnet_policies", "contracts/gridnet_contracts")
APP = ROOT / "gridnet" / "app"

FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 5
FORBIDDEN_NAMES = {"df", "data", "result", "tmp", "utils", "helpers", "manager"}
OPEN_ENDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")

MORE_PARAMETERS = {
    # The facts that any error may carry; keyword-only, each optional, so that no call is hard to read.
    "gridnet/errors.py:GridnetError.__init__",
}

# Put together from pieces, or this file would break its own rule.
HOSTS = ["pypi" + ".org", "python" + "hosted", "registry.npm" + "js", "deb." + "debian", "download.py" + "torch"]
PLACES = re.compile("|".join(map(re.escape, HOSTS)) + r"|(?<![\w.])/(?:work|farm|root|tmp|home/\w+|Users/\w+)/")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file of the four packages."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function with its qualified name, methods and nested functions too."""
        pending: list[tuple[str, ast.AST]] = [("", self.tree)]
        while pending:
            prefix, parent = pending.pop()
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, ast.ClassDef | Function):
                    name = f"{prefix}.{node.name}".removeprefix(".")
                    pending.append((name, node))
                    if isinstance(node, Function):
                        yield name, node
                else:
                    pending.append((prefix, node))


def _docstring_lines(node: Function) -> int:
    if ast.get_docstring(node) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def _parameters(node: Function) -> int:
    spec = node.args
    named = [each for each in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg) if each]
    return len([each for each in named if each.arg not in {"self", "cls"}])


def _decorators(node: Function) -> set[str]:
    called = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    return {each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in called}


def files_are_short(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > FILE_LINES:
        yield f"{source.path}: {lines} lines, {FILE_LINES} at most"


def functions_are_short(source: Source) -> Iterator[str]:
    for name, node in source.functions():
        lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
        if lines > FUNCTION_LINES:
            yield f"{source.path}:{node.lineno}: {name} has {lines} lines, {FUNCTION_LINES} at most"


def parameters_are_few(source: Source) -> Iterator[str]:
    for name, node in source.functions():
        # A numba kernel is exempt: its arguments are arrays, which compiled code can't take inside a dataclass.
        if _decorators(node) & {"kernel", "njit", "guvectorize"} or f"{source.path}:{name}" in MORE_PARAMETERS:
            continue
        count = _parameters(node)
        if count > PARAMETERS:
            yield f"{source.path}:{node.lineno}: {name} takes {count} parameters, {PARAMETERS} at most"


def excepts_are_narrow(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(each is None or ast.unparse(each) in {"Exception", "BaseException"} for each in caught):
                yield f"{source.path}:{node.lineno}: a bare or broad except"


def only_the_app_prints(source: Source) -> Iterator[str]:
    if source.path.startswith("gridnet/app/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{source.path}:{node.lineno}: print outside gridnet/app"


def names_say_something(source: Source) -> Iterator[str]:
    if set(Path(source.path).with_suffix("").parts) & FORBIDDEN_NAMES:
        yield f"{source.path}: a module name that says nothing"
    for node in ast.walk(source.tree):
        name = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.alias):
            name = node.asname
        elif isinstance(node, ast.ClassDef | Function):
            name = node.name
        if name and name.lower() in FORBIDDEN_NAMES:
            yield f"{source.path}:{getattr(node, 'lineno', 0)}: the name '{name}' says nothing"


def no_open_ends(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if OPEN_ENDS.search(line):
            yield f"{source.path}:{number}: an open end: {line.strip()}"


def public_names_have_docstrings(source: Source) -> Iterator[str]:
    if any(part.startswith("_") for part in Path(source.path).parts if part != "__init__.py"):
        return
    pending: list[ast.Module | ast.ClassDef] = [source.tree]
    while pending:
        for node in pending.pop().body:
            if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
                continue
            if isinstance(node, ast.ClassDef):
                pending.append(node)
            elif _decorators(node) & {"overload", "setter"}:
                continue
            if ast.get_docstring(node) is None:
                yield f"{source.path}:{node.lineno}: {node.name} has no docstring"


def imports_are_absolute(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{source.path}:{node.lineno}: a relative import"


def inits_hold_names_only(source: Source) -> Iterator[str]:
    if source.path.endswith("__init__.py"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef | Function | ast.Lambda):
                yield f"{source.path}:{node.lineno}: logic in an __init__.py"


Rule = Callable[[Source], Iterator[str]]
LONG_DOCSTRING = '    """' + "\n" * FUNCTION_LINES + '    """\n'

# Each rule with what it must refuse and what it must let pass.
RULES: list[tuple[Rule, list[Source], list[Source]]] = [
    (files_are_short, [Source("gridnet/a.py", "x = 1\n" * 401)], [Source("gridnet/a.py", "x = 1\n" * 400)]),
    (
        functions_are_short,
        [Source("gridnet/a.py", "class A:\n  def f():\n" + "    x = 1\n" * 60)],
        [Source("gridnet/a.py", "def f():\n" + LONG_DOCSTRING + "    x = 1\n" * 59)],
    ),
    (
        parameters_are_few,
        [Source("gridnet/a.py", "def f(a, b, *c, d, e, **g): ...")],
        [
            Source("gridnet/a.py", "class A:\n  def f(self, a, b, c, d, e): ..."),
            Source("gridnet/a.py", "@numba.njit(cache=True)\ndef f(a, b, c, d, e, g): ..."),
        ],
    ),
    (
        excepts_are_narrow,
        [
            Source("gridnet/a.py", f"try: ...\nexcept{caught}: ...")
            for caught in ("", " Exception", " (OSError, Exception)", " BaseException as error")
        ],
        [Source("gridnet/a.py", "try: ...\nexcept (OSError, ValueError): ...")],
    ),
    (only_the_app_prints, [Source("gridnet/a.py", "print(1)")], [Source("gridnet/app/cli.py", "print(1)")]),
    (
        names_say_something,
        [
            Source("gridnet/utils.py", ""),
            Source("gridnet/a.py", "df = 1"),
            Source("gridnet/a.py", "def f(data): ..."),
            Source("gridnet/a.py", "for tmp in (): ..."),
            Source("gridnet/a.py", "import os as helpers"),
            Source("gridnet/a.py", "class Manager: ..."),
        ],
        [Source("gridnet/a.py", "from b import data_dir\nrows = c.data\nsave(data=rows)")],
    ),
    (no_open_ends, [Source("gridnet/a.py", f"x = 1  # {'TODO'}: y")], [Source("gridnet/a.py", "todos = 1")]),
    (
        public_names_have_docstrings,
        [
            Source("gridnet/a.py", "def f(): ..."),
            Source("gridnet/a.py", "class A: ..."),
            Source("gridnet/a.py", "class A:\n  'It.'\n  def f(self): ..."),
        ],
        [Source("gridnet/a.py", "def f():\n  'It.'\n  def g(): ...\ndef _h(): ...\nclass _A:\n  def f(self): ...")],
    ),
    (
        imports_are_absolute,
        [Source("gridnet/a.py", "from . import b"), Source("gridnet/a.py", "from ..c import b")],
        [Source("gridnet/a.py", "from gridnet import b")],
    ),
    (
        inits_hold_names_only,
        [Source("gridnet/__init__.py", "def f(): ..."), Source("gridnet/__init__.py", "f = lambda: 1")],
        [Source("gridnet/__init__.py", "from a import b\n__all__ = ['b']"), Source("gridnet/a.py", "def f(): ...")],
    ),
]
rules = pytest.mark.parametrize(("rule", "breaches", "fine"), RULES, ids=[rule.__name__ for rule, _, _ in RULES])


def _sources() -> list[Source]:
    found = [file for root in ROOTS for file in sorted((ROOT / root).rglob("*.py"))]
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in found]


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@rules
def test_the_tree_keeps_the_rule(rule: Rule, breaches: list[Source], fine: list[Source]) -> None:
    sources = _sources()
    assert len(sources) > len(ROOTS), "the packages were not found"
    assert [fault for source in sources for fault in rule(source)] == []


@rules
def test_the_rule_sees_a_breach(rule: Rule, breaches: list[Source], fine: list[Source]) -> None:
    assert [source for source in breaches if not list(rule(source))] == []
    assert [fault for source in fine for fault in rule(source)] == []


def test_every_exemption_is_still_needed() -> None:
    counts = {f"{source.path}:{name}": _parameters(node) for source in _sources() for name, node in source.functions()}
    assert [each for each in MORE_PARAMETERS if counts.get(each, 0) <= PARAMETERS] == []


def test_every_package_with_code_is_shipped_typed_and_layered() -> None:
    project = _project()
    with_code = [root for root in ROOTS if any((ROOT / root).rglob("*.py"))]
    names = {Path(root).name for root in with_code}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    contracts = project["tool"]["importlinter"]["contracts"]

    assert set(with_code) <= set(wheel["only-include"])
    assert {root for root in with_code if "/" in root} <= set(wheel["sources"])
    assert set(with_code) <= set(project["tool"]["mypy"]["files"])
    assert names <= set(project["tool"]["importlinter"]["root_packages"])
    assert all(names <= set(each["source_modules"]) for each in contracts if each["type"] == "forbidden")


def test_every_module_of_gridnet_stands_on_a_floor() -> None:
    [layers] = [each["layers"] for each in _project()["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    floors = {module.strip("() ") for layer in layers for module in re.split("[:|]", layer)}
    present = {f"gridnet.{path.stem}" for path in (ROOT / "gridnet").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert present - {"gridnet.__init__", "gridnet.__pycache__"} <= floors


def _commands_and_options(text: str) -> tuple[set[str], set[str]]:
    """Names of the commands and of the long options that a command line written with argparse declares."""
    commands: set[str] = set()
    options: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            words = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if node.func.attr == "add_parser":
                commands.update(words)
            elif node.func.attr == "add_argument":
                options.update(word for word in words if word.startswith("--"))
    return commands, options


def test_the_readme_documents_every_command_and_option() -> None:
    app = sorted(APP.rglob("*.py"))
    if not app:
        return
    commands, options = _commands_and_options("\n".join(file.read_text(encoding="utf-8") for file in app))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert {"bench", "scenarios"} <= commands, "this test no longer recognises how commands are declared"
    assert options, "this test no longer recognises how options are declared"
    assert {each for each in commands if not re.search(rf"\bgridnet [^\n]*\b{re.escape(each)}\b", readme)} == set()
    assert {each for each in options if not re.search(rf"{re.escape(each)}(?![\w-])", readme)} == set()


def test_commands_and_options_are_recognised() -> None:
    text = 'p = s.add_parser("bench", help="x")\np.add_argument("scenario", nargs="?")\np.add_argument("-j", "--json")'
    assert _commands_and_options(text) == ({"bench"}, {"--json"})


def test_the_readme_is_what_the_distribution_shows() -> None:
    assert (ROOT / "README.md").exists() == ("readme" in _project()["project"])


def _tracked() -> list[Path]:
    """What git tracks or would track; without git (a source archive), every file outside hidden folders."""
    if (ROOT / ".git").exists():
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    inside = [path for path in ROOT.rglob("*") if not re.search(r"/\.(?!ci/)", f"/{path.relative_to(ROOT).as_posix()}")]
    return [path for path in inside if path.is_file() and "__pycache__" not in path.parts]


def _names_a_place(text: str) -> list[str]:
    return [line.strip()[:100] for line in text.splitlines() if PLACES.search(line)]


def test_no_file_names_a_package_host_or_a_place_on_a_machine() -> None:
    found = {}
    for path in _tracked():
        lines = _names_a_place(path.read_bytes().decode("utf-8", errors="ignore"))
        if lines:
            found[path.relative_to(ROOT).as_posix()] = lines
    assert found == {}


@pytest.mark.parametrize("text", [f"see https://{HOSTS[0]}/x", f"open {'/home'}/ann/x.toml", f"({'/work'}/a)"])
def test_a_place_is_recognised(text: str) -> None:
    assert _names_a_place(f"fine\n{text}\nfine") == [text]


@pytest.mark.parametrize("text", ["teamwork/a", "https://example.org/home/ann/x", "the folder data/scenarios"])
def test_a_harmless_line_is_let_pass(text: str) -> None:
    assert _names_a_place(text) == []
