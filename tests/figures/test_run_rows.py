"""The table of runs says what is known of each, and nothing else."""

import pandas as pd

from engine.analysis.losses import ToldLoss
from engine.domain.methods import METHOD_INFOS
from engine.domain.runs import RunConfig
from engine.figures.run_rows import few_probes, final_accuracy, run_rows


def test_a_rate_that_was_left_to_the_method_is_known_only_of_a_run_that_was_trained_here() -> None:
    here = RunConfig(name="here", corpus="demo", n_steps=2, seed=3)
    theirs = RunConfig(name="theirs", corpus="none", n_steps=2, imported=True)
    told = theirs.model_copy(update={"name": "told", "learning_rate": 0.001})
    table = run_rows([here, theirs, told], {}, {}, {}).set_index("run")
    assert table.loc["here", "learning rate"] == METHOD_INFOS[here.method].default_learning_rate
    assert table.loc["here", "seed"] == 3
    assert pd.isna(table.loc["theirs", "learning rate"])
    assert table.loc["told", "learning rate"] == 0.001
    assert table.loc[["theirs", "told"], "seed"].isna().all()


def test_steps_that_nothing_tells_are_not_told_and_a_logged_loss_is() -> None:
    merged = RunConfig(name="merged", corpus="none", method="full", n_steps=1, imported=True)
    short = RunConfig(name="short", corpus="demo", method="full", n_steps=1)
    table = run_rows([merged, short], {}, {}, {"merged": ToldLoss(0.5, (6, 10))}).set_index("run")
    assert pd.isna(table.loc["merged", "steps"])
    assert table.loc["short", "steps"] == 0
    assert table["method"].tolist() == ["full model", METHOD_INFOS["full"].title]  # a merged adapter may be in it
    assert table.loc["merged", "loss"] == 0.5


def test_of_few_probes_their_number_is_told() -> None:
    def scores(*rows: tuple[int, str, str, int, float]) -> pd.DataFrame:
        return pd.DataFrame(rows, columns=["step", "probe_kind", "constraint_type", "n", "accuracy"])

    some = scores((0, "recall", "a", 3, 0.0), (9, "recall", "a", 3, 1 / 3), (9, "recall", "b", 1, 1.0),
                  (9, "inference", "a", 30, 0.5))  # fmt: skip
    equal = scores((9, "recall", "a", 4, 0.5), (9, "inference", "a", 4, 0.5))
    many = scores((9, "recall", "a", 30, 0.5))
    assert few_probes({"one": some}) == "4 recall"
    assert few_probes({"one": equal, "two": equal}) == "4 of each kind"
    assert few_probes({"one": some, "two": equal, "three": many}) == "one 4 recall; two 4 of each kind"
    assert few_probes({"three": many}) == few_probes({"none": many[:0]}) == few_probes({}) == ""
    assert final_accuracy(some) == {"recall": 0.5, "inference": 0.5}
