"""Runs as rows of a comparison of methods, whether a study made them or a person; nothing here needs torch."""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.curves import kind_accuracies
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.methods import METHOD_INFOS
from engine.domain.runs import CheckpointState, RunConfig
from engine.domain.studies import StudyRun, StudySpec, StudyTables
from engine.figures.method_charts import RUN_COLUMNS
from engine.store import Store
from engine.store.infos import RunInfo
from engine.studies.search import learning_rate
from engine.studies.spec import study_runs

EQUAL = 1.05  # numbers of parameters within this factor are called equal


def study_rows(tables: StudyTables) -> pd.DataFrame:
    """RUN_COLUMNS of `method_charts`: a row a run of the grids, without those that searched for a learning rate.

    No rows where the tables were made before methods were compared.
    """
    if not {"stage", "accuracy", "variant"} <= set(tables.runs.columns):
        return pd.DataFrame(columns=list(RUN_COLUMNS))
    runs = tables.runs[tables.runs["stage"] == "grid"].rename(columns={"corpus": "task"})
    return runs[list(RUN_COLUMNS)].reset_index(drop=True)


def finished_runs(store: Store) -> list[RunInfo]:
    """Runs trained here to their end, newest first; probe runs, which only tell another run's layers, are left out."""
    infos = [info for info in store.runs() if info.finished and not info.config.imported]
    names = {info.name for info in infos}

    def is_probe(name: str) -> bool:
        return any(name[:place] in names for place in range(len(name)) if name.startswith("-probe", place))

    return [info for info in infos if not is_probe(info.name)]


def run_row(store: Store, info: RunInfo, corpus: Callable[[str], Corpus]) -> dict[str, Any] | None:
    """A row of `own_rows`; None where no probes were measured. Only the run's last checkpoint is read.

    corpus: by name, as `Store.corpus`, which may remember those of the other runs. Raises NotFound (its corpus),
    Damaged, InputError (the corpus is not the one that was measured).
    """
    state, results = store.end_of_run(info)
    if results is None or not results.probe_id:
        return None
    return _row(info.config, state, kind_accuracies(corpus(info.config.corpus).probes, state.step, results))


def own_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """RUN_COLUMNS of `method_charts`, of the `run_row`s of finished runs.

    Runs of one task and method that differ in rank, learning rate or steps are told apart by `variant`.
    """
    frame = pd.DataFrame(rows, columns=[*RUN_COLUMNS, "rank"])
    for _, part in frame.groupby(["task", "method"], sort=False):
        frame.loc[part.index, "variant"] = _variants(part)
    return frame.drop(columns="rank")


def equal_size(means: pd.DataFrame) -> list[str]:
    """Names of the largest group of methods whose numbers of trainable parameters are within 5 % of each other.

    `means`: of `method_charts.method_means`. All names where no two are equal.
    """
    sizes = means.groupby("name", sort=False)["n_trainable"].median()
    groups = [[name for name, size in sizes.items() if low <= size <= EQUAL * low] for low in sizes if low > 0]
    best = max(groups, key=len, default=[])
    return [str(name) for name in (best if len(best) > 1 else sizes.index)]


def requested_run(spec: StudySpec, name: str, rate: float) -> StudyRun | None:
    """The run of this name as the study asks for it, at the learning rate that it was trained with; None: it does
    not (any more)."""
    run = next((one for one in study_runs(spec) if one.name == name), None)
    if run is None or not run.searched:
        return run
    own = METHOD_INFOS[run.config.method].default_learning_rate
    found = run.config.model_copy(update={"learning_rate": None if rate == own else rate})
    return run.model_copy(update={"config": found})


def _row(config: RunConfig, state: CheckpointState, by_kind: Mapping[str, float]) -> dict[str, Any]:
    """`state`: of the last checkpoint. `by_kind`: accuracy by probe kind."""
    words = [by_kind[kind] for kind, info in PROBE_KINDS.items() if info.held_out_phrasing and kind in by_kind]
    return {
        "run": config.name,
        "task": config.corpus,
        "method": config.method,
        "variant": "",
        "seed": config.seed,
        "learning_rate": learning_rate(config),
        "accuracy": float(np.mean(words)) if words else by_kind.get("recall", nan),
        "retained": by_kind.get("retention", nan),
        "n_trainable": state.n_trainable or nan,
        "n_moved": nan if state.n_moved is None else state.n_moved,
        "n_steps": state.step,
        "train_s": state.wall_time_s + state.prepared_s,
        "peak_mb": nan if state.peak_bytes is None else state.peak_bytes / 2**20,
        "rank": config.rank if METHOD_INFOS[config.method].uses_rank else 0,
    }


def _variants(part: pd.DataFrame) -> list[str]:
    told = {"rank": "rank {:g}", "learning_rate": "rate {:g}", "n_steps": "{:g} steps"}
    differ = [column for column in told if part[column].nunique() > 1]
    return [", ".join(told[column].format(row[column]) for column in differ) for row in part.to_dict("records")]
