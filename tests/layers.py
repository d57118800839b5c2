"""Which folder imports which. ``python -m tests.layers`` prints it; it ends with 1 if there is a circle.

The folders are the parts of the repository and those directly below ``executor``; ``executor`` alone stands for the
files in it that are in no folder. An import counts wherever it stands: what is imported in a function, or for type
checkers only, has to be known to whoever reads the file. pyproject.toml has the order that the floors must keep.
"""

from __future__ import annotations

import ast
import enum
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

#: Parts of the repository that are not of the package.
OUTSIDE = ("benchmarks", "tests")
#: Parts whose folders stand for themselves.
SPLIT = ("executor",)
#: Folders of what only the sandbox's Python runs; the first is a part.
SANDBOXED = ("sdk", "src", "sandboxed")


class Kind(enum.Enum):
    """When an import happens, the strongest first."""

    RUN_TIME = "→"
    LAZY = "⇢"
    TYPE_CHECKING = "⋯"


class Import(NamedTuple):
    kind: Kind
    module: str
    where: str


Graph = Mapping[tuple[str, str], Sequence[Import]]


def main() -> int:
    found = graph(ROOT)
    print("Each folder imports what stands behind the arrow:")
    print("→ at run time, ⇢ in functions only, ⋯ for type checkers only\n")
    for folder in order(found):
        print(line(folder, found))
    circles = cycles(found)
    for circle in circles:
        print(f"\ncircle: {' → '.join([*circle, circle[0]])}")
        for edge in zip(circle, [*circle[1:], circle[0]], strict=True):
            print("\n".join(f"  {one.where} {one.kind.value} {one.module}" for one in found[edge]))
    print(f"\n{len(circles) or 'no'} circle{'' if len(circles) == 1 else 's'}")
    return 1 if circles else 0


def line(folder: str, found: Graph) -> str:
    """``executor/run  → executor, executor/subvm  ⇢ executor/record``."""
    by_kind: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for (importer, imported), imports in sorted(found.items()):
        if importer == folder:
            kinds = {one.kind for one in imports}
            by_kind[next(kind for kind in Kind if kind in kinds)].append(imported)
    arrows = (f"{kind.value} {', '.join(imported)}" for kind, imported in by_kind.items() if imported)
    return "  ".join([folder.ljust(24), *arrows]).rstrip()


# --- the graph ---


def graph(root: Path) -> Graph:
    """All imports between folders, by (importing folder, imported folder)."""
    found: dict[tuple[str, str], list[Import]] = defaultdict(list)
    for part in sorted([*(path.name for path in (root / "pygenvm").iterdir() if path.is_dir()), *OUTSIDE]):
        for path in sorted((root / part).rglob("*.py")):
            inside = path.relative_to(root)
            if part == SANDBOXED[0] or not set(inside.parts[1:]).isdisjoint(SANDBOXED[1:]):
                continue
            module = ".".join([*(() if part in OUTSIDE else ("pygenvm",)), *inside.with_suffix("").parts])
            importer = folder_of(module, root)
            for one in imports_of(path.read_text(encoding="utf-8"), module, str(inside)):
                imported = folder_of(one.module, root)
                if importer and imported and importer != imported:
                    found[importer, imported].append(one)
    return found


def folder_of(module: str, root: Path) -> str | None:
    """The folder that the graph has a module in; None for modules of others."""
    names = module.split(".")
    if names[0] == "pygenvm":
        names = names[1:]
    elif names[0] not in OUTSIDE:
        return None
    if names and names[0] in SPLIT and len(names) > 1 and (root / names[0] / names[1]).is_dir():
        return f"{names[0]}/{names[1]}"
    return names[0] if names else None


def imports_of(source: str, module: str, file: str) -> Iterator[Import]:
    """Every import statement of a file; names taken from a package count as its modules."""

    def visit(node: ast.AST, kind: Kind) -> Iterator[Import]:
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom():
                package = ".".join(module.split(".")[: -node.level]) if node.level else ""
                base = ".".join(filter(None, [package, node.module]))
                names = [f"{base}.{alias.name}" for alias in node.names]
            case _:
                names = []
        for name in names:
            yield Import(kind, name, f"{file}:{getattr(node, 'lineno', 0)}")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and kind is Kind.RUN_TIME:
            kind = Kind.LAZY
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.body:
                yield from visit(statement, Kind.TYPE_CHECKING)
            for statement in node.orelse:
                yield from visit(statement, kind)
            return
        for child in ast.iter_child_nodes(node):
            # No expression has a statement in it.
            if not isinstance(child, ast.expr):
                yield from visit(child, kind)

    return visit(ast.parse(source), Kind.RUN_TIME)


# --- circles ---


def order(found: Graph) -> list[str]:
    """Folders, importers before what they import as far as there is no circle."""
    left = sorted({folder for edge in found for folder in edge})
    ordered = []
    while left:
        imported = {to for importer, to in found if importer in left}
        first = next((folder for folder in left if folder not in imported), left[0])
        ordered.append(first)
        left.remove(first)
    return ordered


def cycles(found: Graph) -> list[list[str]]:
    """A shortest circle through each import that is part of one, each circle once."""
    circles: dict[frozenset[str], list[str]] = {}
    for importer, imported in sorted(found):
        if way := _shortest(imported, importer, found):
            circle = [importer, *way[:-1]]
            circles.setdefault(frozenset(circle), circle)
    return list(circles.values())


def _shortest(start: str, end: str, found: Graph) -> list[str] | None:
    """Folders from one to another along imports."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        if way[-1] == end:
            return way
        for importer, imported in sorted(found):
            if importer == way[-1] and imported not in seen:
                seen.add(imported)
                ways.append([*way, imported])
    return None


if __name__ == "__main__":
    sys.exit(main())
