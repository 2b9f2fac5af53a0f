"""The shape of the code in figures: `python -m tests.house.shape`."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ("graphs", "jobs")  # rooms under pages/_ui that every page may use


def sources() -> Iterator[Path]:
    yield ROOT / "app.py"
    for folder in ("engine", "pages"):
        yield from sorted((ROOT / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    """Parsed once for all tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


def function_lengths() -> list[int]:
    """Lines of every function and method, ascending; what stands inside another counts with it."""
    trees = map(tree, sources())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for one in trees for node in ast.walk(one) if isinstance(node, kinds))
    return sorted((node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes)


def page_imports() -> Counter[tuple[str, str]]:
    """(page folder that imports, page folder that is imported) under pages/_ui, and how often."""
    rooms = ROOT / "pages" / "_ui"
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(rooms.rglob("*.py")):
        own = path.relative_to(rooms).parts
        for module in _imported(path):
            parts = module.split(".")
            if parts[:2] != ["pages", "_ui"] or len(own) < 2 or len(parts) < 3:
                continue
            other = parts[2]
            if (rooms / other).is_dir() and other != own[0] and other not in SHARED and own[0] not in SHARED:
                found[own[0], other] += 1
    return found


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def long_files() -> list[str]:
    """Source files of more than 400 lines."""
    return [path.name for path in sources() if len(path.read_text(encoding="utf-8").splitlines()) > 400]


def quantile(values: list[int], q: float) -> int:
    """`values` ascending."""
    return values[round(q * (len(values) - 1))]


def main() -> str:
    lengths, crossing = function_lengths(), page_imports()
    lines = [
        f"{len(lengths)} functions: "
        f"median {quantile(lengths, 0.5)}, p90 {quantile(lengths, 0.9)}, longest {lengths[-1]}",
        f"{len(long_files())} files over 400 lines",
        f"{sum(crossing.values())} imports between page folders",
        *(f"  {own} -> {other}: {n}" for (own, other), n in sorted(crossing.items())),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(main() + "\n")
