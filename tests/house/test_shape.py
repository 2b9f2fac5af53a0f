"""The shape to keep, where a rule of the linter cannot hold it."""

import ast

from tests.house.shape import ROOT, function_lengths, long_files, quantile, sources, tree


def test_functions_stay_small() -> None:
    lengths = function_lengths()
    assert quantile(lengths, 0.5) <= 7
    assert quantile(lengths, 0.9) <= 21


def test_no_file_grows_beyond_400_lines() -> None:
    assert long_files() == []


def test_the_files_of_a_checkpoint_are_named_in_one_place() -> None:
    names = {"state.json", "probes.json", "losses.json", "tuning.json", "decisions.json"}
    naming = set()
    for path in sources():
        nodes = ast.walk(tree(path))
        if any(isinstance(node, ast.Constant) and node.value in names for node in nodes):
            naming.add(path.relative_to(ROOT / "engine").as_posix())
    assert naming == {"store/layout.py", "store/run_files.py"}
