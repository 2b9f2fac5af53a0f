"""One word a thing."""

import ast
from collections import defaultdict

from engine.domain.diffs import CONTRIBUTION, FLOW, PART, SHARE, WEIGHT
from tests.house.shape import ROOT, sources, tree


def test_no_two_classes_of_one_name() -> None:
    found = defaultdict(list)
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_a_column_of_a_difference_is_named_in_one_place() -> None:
    columns = {name for column in (WEIGHT, SHARE, CONTRIBUTION, FLOW, PART) for name in column.values()}
    columns |= {name.removesuffix("a") for name in columns}  # as in f"share_{side}"
    named = set()
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and node.value in columns:
                named.add(path.relative_to(ROOT).as_posix())
    assert named == {"engine/domain/diffs.py"}
