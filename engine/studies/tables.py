"""The outcomes of a study as tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.domain.corpus import PROBE_KINDS
from engine.domain.decisions import Capture, TypeLook
from engine.domain.measures import Measure
from engine.domain.methods import METHOD_INFOS
from engine.domain.runs import RunConfig
from engine.domain.studies import RunOutcome, StudySpec, StudyTables
from engine.studies.commands import train_command
from engine.studies.spec import study_runs

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 5
NAN = float("nan")
RUN_COLUMNS = (
    "run", "corpus", "method", "seed", "stopping", "curriculum", "learning_rate", "n_steps", "stopped_at", "train_s",
    "look_s", "refresh_s", "waited_s", "command",
)  # fmt: skip
CAPTURE_COLUMNS = (
    "run", "step", "loss", "constraint_type", *PROBE_KINDS, "p_paraphrase", "p_inference", "n_paraphrase",
    "n_inference", "fit", "change", "low", "high", "edge", "said", "own", "other", "weight",
)  # fmt: skip


def study_tables(outcomes: Sequence[RunOutcome], spec: StudySpec) -> StudyTables:
    """The columns of StudyTables, runs in the order of the study; an outcome that the study does not ask for (any
    more) is left out, and so is a second one of a run.

    `weight` is NaN where no curriculum decides what is sampled; `own` and `other` are means over the layers.
    """
    asked = {run.config: number for number, run in enumerate(study_runs(spec))}
    found = {asked[key]: one for one in outcomes if (key := without_hash(one.config)) in asked}
    rows = [found[number] for number in sorted(found)]
    return StudyTables(
        runs=_frame([_run_row(one) for one in rows], RUN_COLUMNS),
        captures=_frame([row for one in rows for row in _capture_rows(one, spec.decisions.measure)], CAPTURE_COLUMNS),
    )


def without_hash(config: RunConfig) -> RunConfig:
    """As the study file asks for it, which does not say what is in the corpus."""
    return config.model_copy(update={"corpus_hash": ""})


def _run_row(outcome: RunOutcome) -> dict[str, Any]:
    config = outcome.config
    own = METHOD_INFOS[config.method].default_learning_rate
    return {
        "run": config.name,
        "corpus": config.corpus,
        "method": config.method,
        "seed": config.seed,
        "stopping": config.stopping,
        "curriculum": config.curriculum,
        "learning_rate": own if config.learning_rate is None else config.learning_rate,
        "n_steps": outcome.n_steps,
        "stopped_at": NAN if outcome.stopped_at is None else float(outcome.stopped_at),
        "train_s": outcome.train_s,
        "look_s": outcome.look_s,
        "refresh_s": outcome.refresh_s,
        "waited_s": outcome.waited_s,
        "command": train_command(without_hash(config)),
    }


def _capture_rows(outcome: RunOutcome, measure: Measure) -> list[dict[str, Any]]:
    rows = []
    for capture in outcome.captures:
        types = tuple(dict.fromkeys(score.constraint_type for score in capture.scores))
        weights = _weights(outcome, capture.step, types)
        for constraint_type in types:
            look = capture.look.of(constraint_type) if capture.look else None
            rows.append(
                {
                    "run": outcome.config.name,
                    "step": capture.step,
                    "loss": NAN if capture.smoothed_loss is None else capture.smoothed_loss,
                    "constraint_type": constraint_type,
                    **_scores(capture, constraint_type),
                    **_looked(look, measure),
                    "weight": weights.get(constraint_type, NAN),
                }
            )
    return rows


def _scores(capture: Capture, constraint_type: str) -> dict[str, Any]:
    by_kind = {score.probe_kind: score for score in capture.scores if score.constraint_type == constraint_type}
    row: dict[str, Any] = dict.fromkeys((*PROBE_KINDS, "p_paraphrase", "p_inference"), NAN)
    row |= {"n_paraphrase": 0, "n_inference": 0}
    for kind, score in by_kind.items():
        row[kind] = score.n_correct / score.n if score.n else NAN
        if kind in ("paraphrase", "inference"):
            row[f"p_{kind}"], row[f"n_{kind}"] = score.mean_p, score.n
    return row


def _looked(look: TypeLook | None, measure: Measure) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("fit", "change", "low", "high", "edge", "said", "own", "other"), NAN)
    if look is None:
        return row
    row["fit"] = look.fit
    row["own"], row["other"] = (sum(side) / len(side) if side else NAN for side in (look.own, look.other))
    if change := look.change.get(measure):
        edge = NAN if change.edge is None else change.edge
        row |= {"change": change.value, "low": change.low, "high": change.high, "edge": edge, "said": change.said}
    return row


def _weights(outcome: RunOutcome, step: int, types: tuple[str, ...]) -> dict[str, float]:
    """What was decided at this capture about the sampling after it."""
    if outcome.config.curriculum == "uniform":
        return {}
    decided = next((one for one in outcome.decisions if one.step == step), None)
    if decided is None:
        return {}
    return dict(decided.weights) or {constraint_type: 1 / len(types) for constraint_type in types}


def _frame(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd  # 0.4 s that `--help` does not need

    return pd.DataFrame(rows, columns=list(columns)).round(DIGITS)
