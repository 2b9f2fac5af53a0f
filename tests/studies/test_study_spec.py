"""Study files: what they may say, and the runs that they ask for."""

from pathlib import Path
from typing import Any

import pytest

from engine.domain.errors import InputError
from engine.domain.methods import METHOD_INFOS
from engine.domain.studies import Grid, StudySpec
from engine.store.layout import BUNDLED
from engine.studies.spec import MAX_BYTES, MAX_NAME, read_study, study_runs

GRID = "grids: [{seeds: 0-1}]\n"


def reading(tmp_path: Path, text: str | bytes) -> StudySpec:
    path = tmp_path / "study.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_study(path)


def names(*grids: Grid, **settings: Any) -> list[str]:
    return [run.name for run in study_runs(StudySpec(name="x", grids=grids, **settings))]


def test_the_file_that_comes_with_the_program() -> None:
    spec = read_study(BUNDLED.parent / "study.yaml")
    runs = study_runs(spec)
    # 3 methods x 10 seeds: whole; with 3 stopping policies; with 2 curricula; shuffled; and lora alone at rate 0
    assert len(runs) == 30 + 90 + 60 + 30 + 10
    assert len({run.name for run in runs}) == len(runs)
    assert [run.config.watch for run in runs].count(True) == 30 + 10
    assert all(run.config.capture == (1.0,) and run.config.capture_every == 25 for run in runs)
    assert {"demo-lora-s0", "demo-lora-tokens-circuit-saturation-s3", "demo-lora-lr0-s9"} <= {run.name for run in runs}
    assert all(run.config.capture_steps() == tuple(range(25, 301, 25)) for run in runs)


def test_everything_that_a_file_may_say(tmp_path: Path) -> None:
    spec = reading(
        tmp_path,
        """
        name: all
        n_steps: 8
        capture_every: 4
        rank: 2
        decisions: {patience: 2, loss_drop: 5e-2}
        make: [{name: words, seed: 3, n_probes: 5, shuffled_meanings: true}]
        grids:
          - {corpora: [words], methods: [tokens], seeds: [7, 5], learning_rates: [1e-3, null], stopping: [loss_plateau]}
        """,
    )
    runs = study_runs(spec)
    assert [run.name for run in runs] == [
        "words-tokens-loss-plateau-lr0.001-s7",
        "words-tokens-loss-plateau-lr0.001-s5",
        "words-tokens-loss-plateau-s7",
        "words-tokens-loss-plateau-s5",
    ]
    config = runs[0].config
    assert (config.n_steps, config.capture_every, config.rank, config.learning_rate) == (8, 4, 2, 0.001)
    assert (config.decisions.patience, config.decisions.loss_drop) == (2, 0.05)
    assert spec.make[0].shuffled_meanings


def test_seeds_as_a_range(tmp_path: Path) -> None:
    assert reading(tmp_path, "name: x\ngrids: [{seeds: 3-5}]").grids[0].seeds == (3, 4, 5)
    assert reading(tmp_path, "name: x\ngrids: [{seeds: 2 – 2}]").grids[0].seeds == (2,)


def test_a_run_that_two_grids_ask_for_is_done_once_and_watched_if_either_says_so() -> None:
    own = METHOD_INFOS["lora"].default_learning_rate
    grids = (Grid(seeds=(0, 1, 0)), Grid(seeds=(1, 2), watch=True, learning_rates=(own,)))
    runs = study_runs(StudySpec(name="x", grids=grids))
    assert [(run.name, run.config.watch) for run in runs] == [
        ("demo-lora-s0", False),
        ("demo-lora-s1", True),
        ("demo-lora-s2", True),
    ]


def test_names_are_short_and_never_those_of_two_runs() -> None:
    (long,) = names(Grid(corpora=("a" * 60,)))
    assert len(long) == MAX_NAME
    assert long == names(Grid(corpora=("a" * 60,)), n_steps=300)[0]
    # “a” with lora_tokens and “a-lora” with tokens would both be a-lora-tokens-s0
    both = names(Grid(corpora=("a",), methods=("lora_tokens",)), Grid(corpora=("a-lora",), methods=("tokens",)))
    assert len(set(both)) == 2
    assert all(name.startswith("a-lora-tokens-s0-") for name in both)
    near = names(Grid(learning_rates=(0.1234567, 0.12345671)))
    assert near == ["demo-lora-lr0.1234567-s0", "demo-lora-lr0.12345671-s0"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a mapping with the keys name, n_steps"),
        ("# nothing but words", "must be a mapping"),
        ("- a\n- b", "must be a mapping"),
        ("just words", "must be a mapping"),
        (GRID, "“name” is missing"),
        ("name: x", "“grids” is missing"),
        ("name: x\ngrids: []", "“grids”: .* at least 1 item"),
        ("name: Not/a name\n" + GRID, "“name”: .*is not a valid name"),
        ("name: x\nsteps: 3\n" + GRID, "“steps” is not a known key.* allowed are name, n_steps, capture_every"),
        ("name: x\ngrids: [{seed: 3}]", r"“grids\[0\].seed” is not a known key.* corpora, methods, seeds"),
        ("name: x\ndecisions: {patients: 2}\n" + GRID, "“decisions.patients” is not a known key.* patience"),
        ("name: x\nmake: [{nam: a}]\n" + GRID, r"“make\[0\].name” is missing; “make\[0\].nam” is not a known key"),
        ("name: x\nn_steps: 0\n" + GRID, r"“n_steps”: .* greater than or equal to 1 \(given: 0\)"),
        ("name: x\nn_steps: yes\n" + GRID, r"“n_steps”: .* valid integer \(given: true\)"),
        ('name: x\nn_steps: "300"\n' + GRID, r"“n_steps”: .* valid integer \(given: \"300\"\)"),
        ("name: x\nn_steps: 2.5\n" + GRID, r"“n_steps”: .*integer.*2\.5"),
        ("name: x\nn_steps: 2000000\n" + GRID, "number of steps is 2,000,000; at most 1,000,000"),
        ("name: x\nn_steps: 2026-01-01\n" + GRID, "“n_steps”: .*2026-01-01"),
        ("name: x\ngrids: [{methods: [lorra]}]", "“lorra” is none of the methods: lora, tokens, lora_tokens"),
        ("name: x\ngrids: [{stopping: [never]}]", "“never” is none of the stopping: none, loss_plateau"),
        ("name: x\ngrids: [{curricula: [hard]}]", "“hard” is none of the curricula: uniform"),
        ("name: x\ngrids: [{methods: lora}]", r"“grids\[0\].methods”: .*array"),
        ("name: x\ngrids: [{seeds: 9-0}]", r"grids\[0\].seeds is “9-0”. Give a list of whole numbers, or a range"),
        ("name: x\ngrids: [{seeds: all}]", "seeds is “all”"),
        ("name: x\ngrids: [{seeds: 0-999999999}]", "1,000,000,000 seeds; at most 10,000"),
        ("name: x\ngrids: [{seeds: [-1]}]", r"grids\[0\].seeds has -1; allowed are 0 to 4294967295"),
        ("name: x\ngrids: [{seeds: 0-4999}, {seeds: 0-5000}]", "10,001 runs; at most 10,000"),
        ("name: x\ngrids: [{learning_rates: [-0.1]}]", r"“learning_rate”: .*than or equal to 0 \(given: -0.1\)"),
        ("name: x\ngrids: [{learning_rates: [.nan]}]", "learning_rate"),
        ("name: x\nmake: [{name: a}, {name: a}]\n" + GRID, "“make” names a more than once"),
        ("name: x\nname: y\n" + GRID, "line 2, column 1: the key “name” appears twice"),
        ("name: x\ngrids: [{seeds: 0-1, seeds: 0-2}]", "the key “seeds” appears twice"),
        ("name: x\ngrids: [{? [a, b] : c}]", "not valid YAML"),
        ("name: x\ngrids: [}", "line 2, column 9"),
        ("name: x\x00\n", "not valid YAML"),
        ("name: !!python/object/apply:os.getcwd []\n", "not valid YAML: line 1.*could not determine"),
        ("name: 2026-13-45\n" + GRID, "not valid YAML"),
        (b"name: \xff\xfe", "is not UTF-8"),
        ("x" * (MAX_BYTES + 1), "larger than the 100,000 bytes"),
        ("name: x\ngrids: " + "[" * 5000, "lists in lists more than 8 deep"),
        ("name: x\ngrids:\n- &a {seeds: 0-1}\n- *a", r"line 3: anchors \(&, \*\) are not allowed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        reading(tmp_path, text)


def test_a_few_lines_that_stand_for_gigabytes_are_refused(tmp_path: Path) -> None:
    # each line is ten times the one before
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(InputError, match="anchors"):
        reading(tmp_path, "\n".join(rows))


def test_no_such_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study file .*nothing\.yaml.*data/study\.yaml"):
        read_study(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        read_study(tmp_path)
