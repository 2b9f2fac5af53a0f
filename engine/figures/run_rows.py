"""The runs of a chart as a table: how each was made, and where it ended. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from engine.analysis.curves import accuracies
from engine.analysis.losses import ToldLoss
from engine.domain.corpus import PROBE_KINDS
from engine.domain.methods import METHOD_INFOS, method_title
from engine.domain.numbers import FEW
from engine.domain.runs import Checkpoint, RunConfig

RUN_COLUMNS: Final = (
    "run", "method", "corpus", "rank", "learning rate", "seed", "steps", "loss", *PROBE_KINDS, "last",
)  # fmt: skip


def run_rows(
    configs: Sequence[RunConfig],
    last: Mapping[str, Checkpoint],
    scores: Mapping[str, pd.DataFrame],
    losses: Mapping[str, ToldLoss],
) -> pd.DataFrame:
    """A row a run, in the order of `configs`.

    rank: of LoRA's matrices, missing where the method has none. learning rate: the method's own where none was given.
    Of an imported run neither a rate that its log does not tell nor the seed is known.
    steps: done so far, missing where nothing tells it. loss: at the last checkpoint, as told. One column a probe kind:
    the share of its probes that are right there, over all constraint types. last: the reference of the last checkpoint.
    """
    rows = [_row(config, last.get(config.name), scores.get(config.name), losses.get(config.name)) for config in configs]
    table = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    return table.astype(
        {
            "rank": "Int64",
            "seed": "Int64",
            "steps": "Int64",
            **dict.fromkeys(("learning rate", "loss", *PROBE_KINDS), float),
        }
    )


def final_accuracy(scores: pd.DataFrame | None) -> dict[str, float]:
    """By probe kind: the share of probes that are right at the last step, over all constraint types."""
    return {kind: share for kind, (share, _) in _ended(scores).items()}


def few_probes(scores: Mapping[str, pd.DataFrame]) -> str:
    """How many probes the shares are of that are of few, by run: `4 of each kind`, `one 4 recall; two 8 of each kind`;
    empty where there are none."""
    told = {run: _few(_ended(rows)) for run, rows in scores.items()}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "; ".join(f"{run} {few}" for run, few in told.items() if few)


def _few(ended: Mapping[str, tuple[float, int]]) -> str:
    few = {kind: n for kind, (_, n) in ended.items() if n < FEW}
    if len(few) > 1 and len(few) == len(ended) and len(set(few.values())) == 1:
        return f"{next(iter(few.values()))} of each kind"
    return ", ".join(f"{n} {PROBE_KINDS[kind].title}" for kind, n in few.items())


def _ended(scores: pd.DataFrame | None) -> dict[str, tuple[float, int]]:
    if scores is None or scores.empty:
        return {}
    return accuracies(scores[scores["step"] == scores["step"].max()])


def _row(
    config: RunConfig, last: Checkpoint | None, scores: pd.DataFrame | None, loss: ToldLoss | None
) -> dict[str, object]:
    info = METHOD_INFOS.get(config.method)
    own_rate = info.default_learning_rate if info and not config.imported else None
    return {
        "run": config.name,
        "method": method_title(config.method, imported=config.imported),
        "corpus": config.corpus,
        "rank": config.rank if info is None or info.uses_rank else None,
        "learning rate": own_rate if config.learning_rate is None else config.learning_rate,
        "seed": None if config.imported else config.seed,
        "steps": (last.step if last else 0) if config.steps_told else None,
        "loss": loss.value if loss else None,
        "last": last.ref if last else "",
        **final_accuracy(scores),
    }
