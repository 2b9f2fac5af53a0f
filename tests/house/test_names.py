"""One word a thing."""

import ast
from collections import defaultdict

from tests.house.shape import ROOT, sources


def test_no_two_classes_of_one_name() -> None:
    found = defaultdict(list)
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
