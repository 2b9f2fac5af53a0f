"""What trainers elsewhere logged, in the forms in which it leaves their tools."""

from pathlib import Path

import numpy as np
import pytest

from engine.domain.errors import TracelapseError
from engine.domain.runs import LoggedSeries
from engine.workflows.trainer_logs import merged_metrics, read_log, read_metrics, table_metrics, whole_number


def series(step: tuple[int, ...], value: tuple[float, ...]) -> LoggedSeries:
    return LoggedSeries(step=step, value=value)


def test_trainers_evaluations_are_kept_and_its_speed_is_not() -> None:
    rows = [
        {"step": 10, "loss": 3.0, "learning_rate": 1e-3, "epoch": 0.5, "grad_norm": 2.5},
        {"step": 10, "eval_loss": 2.0, "eval_runtime": 3.0, "eval_steps_per_second": 9.0, "eval_ok": True},
        {"step": 20, "eval_loss": float("nan")},
        {"step": 10, "eval_loss": 1.5},  # again, after a resume: the later counts
        {"step": "x", "eval_loss": 9.0}, {"eval_loss": 9.0}, "no row",
    ]  # fmt: skip
    found = read_metrics({"log_history": rows}).series
    assert sorted(found) == ["eval_loss", "grad_norm"]
    assert found["eval_loss"].step == (10, 20)
    assert found["eval_loss"].value[0] == 1.5
    assert np.isnan(found["eval_loss"].value[1])
    assert found["grad_norm"] == series((10,), (2.5,))
    for nothing in ({}, {"log_history": None}, {"log_history": {"step": 1}}):
        assert read_metrics(nothing).series == {}


def test_numbers_that_no_float_holds_are_gaps() -> None:
    rows = [{"step": 10**400, "loss": 1.0}, {"step": 5, "loss": 10**400, "grad_norm": -(10**400)}, {"step": 1e300}]
    log, told = read_log({"log_history": rows})
    assert log.step == (5,)
    assert np.isnan(log.loss).all()
    assert told.startswith("1 logged loss of no finite number")
    assert np.isnan(read_metrics({"log_history": rows}).series["grad_norm"].value).all()
    assert [whole_number(value) for value in (10**400, 2.0, 2.5, True, float("nan"), None)] == [None, 2, *[None] * 4]


def test_tensorboards_download_is_called_as_its_file(tmp_path: Path) -> None:
    file = tmp_path / "eval_loss.csv"
    file.write_text("Wall time,Step,Value\n1700000000.5,10,2.5\n1700000001.5,20,1.5\n", encoding="utf-8")
    assert table_metrics([file]).series == {"eval_loss": series((10, 20), (2.5, 1.5))}


def test_wandbs_export_is_called_after_its_measures(tmp_path: Path) -> None:
    text = (
        '"Step","calm-sun-1 - eval/loss","calm-sun-1 - eval/loss__MIN","calm-sun-1 - eval/loss__MAX","_timestamp"\n'
        '"10","2.5","2.5","2.5","1"\n"20","","","","2"\n"30","NaN","","","3"\n"1_0","9","","",""\n'
    )
    file = tmp_path / "wandb_export.csv"
    file.write_text("\ufeff" + text, encoding="utf-8")
    (found,) = table_metrics([file]).series.items()
    assert found[0] == "eval/loss"
    assert found[1].step == (10, 30)
    assert found[1].value[0] == 2.5
    assert np.isnan(found[1].value[1])


def test_any_table_with_steps_will_do_and_the_later_file_counts(tmp_path: Path) -> None:
    one, two = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("global_step,acc,note\n5,0.5,fine\n6,0.6,\n7\n", encoding="utf-8")
    two.write_text("step,acc\n5,0.9\n", encoding="utf-8")
    assert table_metrics([one]).series == {"acc": series((5, 6), (0.5, 0.6))}
    merged = merged_metrics(table_metrics([one]), table_metrics([two]))
    assert merged.series["acc"] == series((5,), (0.9,))


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"a,b\n1,2\n", "no column of steps"), (b"", "no column of steps"), (b"step,a\n1,\xff\n", "utf-8"),
     (b'step,"' + b"x" * 200_000 + b'"\n1,2\n', "no CSV file")],
)  # fmt: skip
def test_what_is_no_table_of_steps_is_told(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes(data)
    with pytest.raises(TracelapseError) as refused:
        table_metrics([file])
    assert said.lower() in str(refused.value).lower()
    assert str(file) in str(refused.value)
    with pytest.raises(TracelapseError, match="There is no file"):
        table_metrics([tmp_path / "nowhere.csv"])
