"""The recipes of CONTRIBUTING.md, counted: how many files know of one that is there already."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.house.shape import tree

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Recipe:
    """`member` stands for any of its kind: no file but those of the recipe may name it."""

    title: str  # of its section in CONTRIBUTING.md
    member: str
    files: tuple[str, ...]
    under: tuple[str, ...] = ("engine", "pages")
    apart: tuple[str, ...] = ("engine/studies/findings",)  # what compares these very members

    def __str__(self) -> str:
        return self.member


RECIPES = [
    Recipe(
        "A fine-tuning method",
        "ia3",
        ("engine/training/methods/ia3.py", "engine/training/methods/__init__.py", "engine/domain/methods.py"),
    ),
    Recipe(
        "A stopping policy",
        "loss_plateau",
        ("engine/decisions/stopping/loss_plateau.py", "engine/decisions/__init__.py", "engine/domain/decisions.py"),
    ),
    Recipe(
        "A probe kind",
        "retention",
        ("engine/domain/corpus.py", "engine/corpus/make.py"),
        apart=("engine/studies", "pages/_ui/tour"),
    ),
    Recipe("An edge measure", "kl", ("engine/domain/edge_measures.py", "engine/components/metrics.py")),
    Recipe("An export format", "graphml", ("engine/export/graphml.py", "engine/export/pair_formats.py")),
    Recipe("A model family", "gemma3_text", ("engine/models/families.py", "engine/domain/model_families.py")),
    Recipe("A page", "findings", ("pages/findings.py", "pages/_ui/frame.py"), under=("pages",)),
]


def files_that_name(recipe: Recipe) -> set[str]:
    """Those that have the member as a string, import it, or are called so."""
    paths = (path for folder in recipe.under for path in (ROOT / folder).rglob("*.py"))
    names = {path.relative_to(ROOT).as_posix() for path in paths if recipe.member in _names(path)}
    return {name for name in names if not name.startswith(recipe.apart)}


@cache
def _names(path: Path) -> set[object]:
    nodes = list(ast.walk(tree(path)))
    strings = {node.value for node in nodes if isinstance(node, ast.Constant)}
    imported = {node.name for node in nodes if isinstance(node, ast.alias)}
    return {path.stem, *strings, *imported}


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_recipe_names_every_file(recipe: Recipe) -> None:
    assert files_that_name(recipe) == set(recipe.files)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_recipe_is_written_down(recipe: Recipe) -> None:
    n = len(recipe.files)
    _, found, rest = TEXT.partition(f"### {recipe.title} in {n} file{'s' * (n > 1)}\n")
    assert found
    section = rest.partition("\n#")[0]
    for file in recipe.files:
        shown = file.replace(recipe.member, "NAME")
        assert f"`{shown}`" in section, shown


def test_every_section_with_a_count_is_held_here() -> None:
    counted = [line for line in TEXT.splitlines() if line.startswith("### ") and line.endswith((" files", " file"))]
    assert len(counted) == len(RECIPES)
