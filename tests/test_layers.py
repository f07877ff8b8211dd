"""Who may import whom: arrows go one way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("ganglion", "ganglion_collector", "ganglion_exporters", "ganglion_query")
FOLDERS = {
    "ganglion": ROOT / "instrumentation" / "ganglion",
    "ganglion_collector": ROOT / "collector" / "ganglion_collector",
    "ganglion_exporters": ROOT / "exporters" / "ganglion_exporters",
    "ganglion_query": ROOT / "query" / "ganglion_query",
}
_CONTRACT = (
    "backoff component endpoint errors langsmith_ids metric_values model_calls otlp otlp_status prices small_server tls"
)
CONTRACT = tuple(f"ganglion_collector.{name}" for name in _CONTRACT.split())
ALLOWED = {
    "ganglion": ("ganglion",),
    "ganglion_collector": ("ganglion_collector", "ganglion"),
    "ganglion_exporters": ("ganglion_exporters", *CONTRACT),
    "ganglion_query": ("ganglion_query", "ganglion_collector", "ganglion"),
}
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "handler", "base", "common", "misc"}

MODULES = [
    pytest.param(package, path, id=str(path.relative_to(ROOT)))
    for package, folder in FOLDERS.items()
    for path in sorted(folder.rglob("*.py"))
]


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=0) if module is not None:
                # `from package import module` names the module in `names`.
                yield from (f"{module}.{name.name}" if module in OURS else module for name in names)
            case ast.ImportFrom(level=level) if level > 0:
                yield f"{package}.relative"
            case _:
                pass


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def strangers(source: str, package: str) -> set[str]:
    own = {name for name in imports(ast.parse(source), package) if name.partition(".")[0] in OURS}
    return {name for name in own if not within(name, ALLOWED[package])}


@pytest.mark.parametrize(("package", "path"), MODULES)
def test_a_module_imports_only_from_its_layer_and_below(package: str, path: Path) -> None:
    assert strangers(path.read_text(encoding="utf-8"), package) == set()


@pytest.mark.parametrize(
    ("package", "source", "found"),
    [
        ("ganglion", "import ganglion_collector.errors", {"ganglion_collector.errors"}),
        ("ganglion_exporters", "from ganglion_collector import config", {"ganglion_collector.config"}),
        ("ganglion_exporters", "from ganglion_collector import errors", set()),
        ("ganglion_exporters", "from ganglion_collector.otlp import Signal", set()),
        ("ganglion_exporters", "from ganglion_collector.otlp_x import y", {"ganglion_collector.otlp_x"}),
        ("ganglion_query", "def f():\n  from ganglion_exporters import debug", {"ganglion_exporters.debug"}),
        ("ganglion_collector", "import ganglion_exporters", {"ganglion_exporters"}),
        ("ganglion_collector", "import json, ganglion_query.cli", {"ganglion_query.cli"}),
    ],
)
def test_a_forbidden_import_is_found(package: str, source: str, found: set[str]) -> None:
    assert strangers(source, package) == found


@pytest.mark.parametrize(("package", "path"), MODULES)
def test_a_module_says_what_it_is_for(package: str, path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), package


def exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == "__all__" for to in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def defined(tree: ast.Module | ast.If) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
            case ast.If():
                names |= defined(node)
            case _:
                pass
    return names


@pytest.mark.parametrize(("package", "path"), MODULES)
def test_exported_names_exist(package: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assert set(exported(tree)) <= defined(tree), package
    assert len(exported(tree)) == len(set(exported(tree)))
