"""Who imports whom, read from the source text: nothing is executed.

Every import counts: at the top, inside functions, under TYPE_CHECKING, relative, and `import_module("maskfork.x")`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WINGS = ("errors", "core", "models", "measure", "view", "prompt", "learn", "decide", "deploy", "demo", "cli")
"""From the ground up: a file imports from its own wing and those before it. `demo` is therefore open to `cli` only."""

CORE_FLOORS = (
    "mask", "mask_blocks", "batch", "virtual", "spec", "table", "dropout", "kernels", "positions", "linear", "parts", "fused",
    "experts", "latent", "cache", "cache_int8", "cache_sliding", "cache_traced", "marked", "transformer", "two_stream",
)  # fmt: skip


@dataclass(frozen=True)
class Import:
    """`importer` (a dotted module) imports `imported` at `line`."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file, for every module of the package folder."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = [package.name, *file.relative_to(package).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(package: Path) -> list[Import]:
    """Every import of one of the package's modules by another. The package's own `__init__` is its face and left out.

    A name that the face hands out (`from maskfork import load`) counts as an import of the module that it comes from.
    """
    known = modules(package)
    homes = _homes(package)
    found = []
    for name, file in known.items():
        if name == package.name:
            continue
        is_package = file.name == "__init__.py"
        for target, line in _targets(ast.parse(file.read_text(encoding="utf-8")), name, is_package):
            home = homes.get(target, target)
            while home not in known and "." in home:
                home = home.rpartition(".")[0]
            if home in known and home not in (name, package.name):
                found.append(Import(name, home, line))
    return found


def wrong_way(found: list[Import], package: str = "maskfork") -> list[str]:
    """The imports that go up: to a later wing, or inside core to a later floor."""
    wrong = []
    for one in found:
        importer, imported = (_place(name, package) for name in (one.importer, one.imported))
        if imported > importer:
            wrong.append(str(one))
    return wrong


def cycles(found: list[Import]) -> list[list[str]]:
    """The circles among modules, each as the modules on it (Tarjan's strongly connected components)."""
    graph: dict[str, set[str]] = {}
    for one in found:
        graph.setdefault(one.importer, set()).add(one.imported)
        graph.setdefault(one.imported, set())
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for after in sorted(graph[node]):
            if after not in index:
                visit(after)
                low[node] = min(low[node], low[after])
            elif after in stack:
                low[node] = min(low[node], index[after])
        if low[node] == index[node]:
            circle = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(circle) > 1:
                circles.append(sorted(circle))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return circles


def unplaced(package: Path) -> list[str]:
    """Modules without a place in WINGS or, in core, CORE_FLOORS."""
    lost = []
    for name in modules(package):
        parts = name.split(".")[1:]
        if parts and (parts[0] not in WINGS or (parts[0] == "core" and parts[1:2] and parts[1] not in CORE_FLOORS)):
            lost.append(name)
    return lost


def _place(module: str, package: str) -> tuple[int, int]:
    """(wing, floor). A wing's `__init__` is its roof: it may show what any of its floors has."""
    parts = module.removeprefix(package + ".").split(".")
    wing = WINGS.index(parts[0]) if parts[0] in WINGS else len(WINGS)
    if parts[0] != "core":
        return wing, 0
    return wing, CORE_FLOORS.index(parts[1]) if len(parts) > 1 and parts[1] in CORE_FLOORS else len(CORE_FLOORS)


def _targets(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """(dotted target, line). `from a import b` is a.b: the caller cuts it down to the module that exists."""
    here = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + is_package] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{stem}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.lineno


def _homes(package: Path) -> dict[str, str]:
    """maskfork.load -> maskfork.models.hub.load, from the face's TYPE_CHECKING imports."""
    face = package / "__init__.py"
    homes = {}
    for node in ast.walk(ast.parse(face.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(package.name + "."):
            homes.update({f"{package.name}.{a.asname or a.name}": f"{node.module}.{a.name}" for a in node.names})
    return homes
