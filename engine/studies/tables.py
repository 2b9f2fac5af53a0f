"""The outcomes of a study as tables."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine.domain.components import RobustnessReport, UnionReport
from engine.domain.corpus import PROBE_KINDS
from engine.domain.decisions import Capture, TypeReading
from engine.domain.measures import Measure
from engine.domain.runs import RunConfig
from engine.domain.studies import ACTED_COLUMNS, STAGES, RunOutcome, StudyRun, StudySpec, StudyTables
from engine.studies.commands import train_command
from engine.studies.search import accuracy, found_rates, learning_rate, retained
from engine.studies.spec import study_runs

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 5
NAN = float("nan")
RUN_COLUMNS = (
    "run", "corpus", "method", "variant", "stage", "seed", "stopping", "curriculum", "learning_rate", "rank",
    "n_steps", "stopped_at", "accuracy", "accuracy_base", "retained", "retained_base", "n_trainable", "n_moved",
    "train_s", "prepared_s", "peak_mb", "critical_layers", "look_s", "refresh_s", "waited_s", "command",
)  # fmt: skip
_UNSEEN = tuple(kind for kind, info in PROBE_KINDS.items() if info.held_out_phrasing)
_MEANS, _SIZES = tuple(f"p_{kind}" for kind in _UNSEEN), tuple(f"n_{kind}" for kind in _UNSEEN)
CAPTURE_COLUMNS = (
    "run", "step", "loss", "constraint_type", *PROBE_KINDS, *_MEANS, *_SIZES, "fit", "change", "low", "high", "edge",
    "said", "own", "other", "weight",
)  # fmt: skip
COMPONENT_COLUMNS = (
    "run", "step", "n_edges", "n_nodes", "node_jaccard", "edge_jaccard", "node_jaccard_base", "edge_jaccard_base",
    "nodes_appeared", "nodes_vanished", "edges_appeared", "edges_vanished", "delta_nodes", "delta_edges",
    "layer_change", "faithfulness", "faithfulness_low", "faithfulness_high",
)  # fmt: skip
CIRCUIT_COLUMNS = ("run", "kind", "subject", "measure", "level", "value", "low", "high", "n", "n_edges")
TAUGHT_COLUMNS = (
    "run", "constraint_type", "constraint", "prompt", "answer", "whole", "without_first", "without_last",
    "without_random", "n_draws", "n_left_out", "n_about", "n_looked_at", "n_own", "n_examples",
)  # fmt: skip


def study_tables(outcomes: Sequence[RunOutcome], spec: StudySpec) -> StudyTables:
    """The columns of StudyTables, runs in the order of the study; an outcome that the study does not ask for (any
    more) is left out, and so is a second one of a run.

    `weight` is NaN where no curriculum decides what is sampled; `own` and `other` are means over the layers.
    """
    rows = _in_order(outcomes, spec)
    return StudyTables(
        runs=_frame([_run_row(run, one) for run, one in rows], RUN_COLUMNS),
        captures=_frame(
            [row for _, one in rows for row in _capture_rows(one, spec.decisions.measure)], CAPTURE_COLUMNS
        ),
        components=_frame([row for _, one in rows for row in _component_rows(one)], COMPONENT_COLUMNS),
        circuits=_frame([row for _, one in rows for row in _circuit_rows(one)], CIRCUIT_COLUMNS),
        taught=_frame([row for _, one in rows for row in _taught_rows(one)], TAUGHT_COLUMNS),
        acted=_frame([row for _, one in rows for row in _acted_rows(one)], ACTED_COLUMNS),
    )


def _in_order(outcomes: Sequence[RunOutcome], spec: StudySpec) -> list[tuple[StudyRun, RunOutcome]]:
    """The searches' first: they tell at which rate the others must have been trained."""
    found: list[tuple[StudyRun, RunOutcome]] = []
    given: dict[RunConfig, RunOutcome] = {}
    for one in outcomes:
        given.setdefault(without_hash(one.config), one)
    for stage in STAGES:
        runs = study_runs(spec, found_rates(spec, [outcome for _, outcome in found]))
        found += [(run, given[run.config]) for run in runs if run.stage == stage and run.config in given]
    return found


def without_hash(config: RunConfig) -> RunConfig:
    """As the study file asks for it, which does not say what is in the corpus."""
    return config.model_copy(update={"corpus_hash": ""})


def _run_row(run: StudyRun, outcome: RunOutcome) -> dict[str, Any]:
    config, base, end = run.config, outcome.captures[:1], outcome.captures[-1:]
    return {
        "run": config.name,
        "corpus": config.corpus,
        "method": config.method,
        "variant": run.variant,
        "stage": run.stage,
        "seed": config.seed,
        "stopping": config.stopping,
        "curriculum": config.curriculum,
        "learning_rate": learning_rate(config),
        "rank": config.rank,
        "n_steps": outcome.n_steps,
        "stopped_at": _number(outcome.stopped_at),
        "accuracy": _number(*map(accuracy, end)),
        "accuracy_base": _number(*map(accuracy, base)),
        "retained": _number(*map(retained, end)),
        "retained_base": _number(*map(retained, base)),
        "n_trainable": outcome.n_trainable,
        "n_moved": _number(outcome.n_moved),
        "train_s": outcome.train_s,
        "prepared_s": outcome.prepared_s,
        "peak_mb": NAN if outcome.peak_bytes is None else outcome.peak_bytes / 2**20,
        "critical_layers": " ".join(map(str, outcome.critical_layers)),
        "look_s": outcome.look_s,
        "refresh_s": outcome.refresh_s,
        "waited_s": outcome.waited_s,
        "command": train_command(config),
    }


def _number(value: float | None = None) -> float:
    return NAN if value is None else float(value)


def _component_rows(outcome: RunOutcome) -> list[dict[str, Any]]:
    rows = []
    for step in outcome.components:
        fields = step.model_dump(exclude={"faithfulness", "layer_change"})
        known = step.faithfulness
        rows.append(
            {
                "run": outcome.config.name,
                **{name: _number(value) if value is None else value for name, value in fields.items()},
                "layer_change": " ".join(f"{change:.{DIGITS}g}" for change in step.layer_change),
                "faithfulness": known.value if known else NAN,
                "faithfulness_low": known.low if known else NAN,
                "faithfulness_high": known.high if known else NAN,
            }
        )
    return rows


def _circuit_rows(outcome: RunOutcome) -> list[dict[str, Any]]:
    rows = [*_robustness_rows(outcome.robustness), *_union_rows(outcome.union)]
    return [dict.fromkeys(CIRCUIT_COLUMNS, NAN) | {"subject": "", "run": outcome.config.name} | row for row in rows]


def _taught_rows(outcome: RunOutcome) -> Iterator[dict[str, Any]]:
    for word in outcome.taught:
        draws = word.without_random
        random = {"without_random": sum(draws) / len(draws), "n_draws": len(draws)}
        yield {"run": outcome.config.name} | word.model_dump() | random


def _acted_rows(outcome: RunOutcome) -> Iterator[dict[str, Any]]:
    for word in outcome.acted:
        told = word.model_dump(include={"constraint_type", "constraint", "n_probes"})
        for place, (step, change) in enumerate(zip(word.steps[1:], word.changes, strict=True)):
            made = {role: parts[place] for role, parts in word.roles.items()}
            yield {"run": outcome.config.name} | told | {"step": step, "change": change} | made


def _robustness_rows(report: RobustnessReport | None) -> Iterator[dict[str, Any]]:
    for one in report.subjects if report else ():
        for level, likeness in [(0.0, one.fifths), *((p.level, p.likeness) for p in one.perturbed)]:
            for name, figure in (("nodes", likeness.nodes), ("edges", likeness.edges)):
                said = {"subject": one.subject, "measure": name, "level": level, "n": likeness.n}
                yield {"kind": "robustness", **said, **figure.model_dump()}


def _union_rows(report: UnionReport | None) -> Iterator[dict[str, Any]]:
    for point in report.points if report else ():
        for name, circuit in (("union", point.union), ("direct", point.direct)):
            figure = circuit.faithfulness.model_dump() if circuit.faithfulness else {}
            yield {"kind": "union", "measure": name, "level": point.share, "n_edges": circuit.n_edges, **figure}
        for name, value in (("nodes", point.nodes), ("edges", point.edges)):
            yield {"kind": "union", "measure": name, "level": point.share, "value": value}


def _capture_rows(outcome: RunOutcome, measure: Measure) -> list[dict[str, Any]]:
    rows = []
    for capture in outcome.captures:
        types = tuple(dict.fromkeys(score.constraint_type for score in capture.scores))
        weights = _weights(outcome, capture.step, types)
        for constraint_type in types:
            reading = capture.reading.of(constraint_type) if capture.reading else None
            rows.append(
                {
                    "run": outcome.config.name,
                    "step": capture.step,
                    "loss": NAN if capture.smoothed_loss is None else capture.smoothed_loss,
                    "constraint_type": constraint_type,
                    **_scores(capture, constraint_type),
                    **_looked(reading, measure),
                    "weight": weights.get(constraint_type, NAN),
                }
            )
    return rows


def _scores(capture: Capture, constraint_type: str) -> dict[str, Any]:
    by_kind = {score.probe_kind: score for score in capture.scores if score.constraint_type == constraint_type}
    row: dict[str, Any] = dict.fromkeys((*PROBE_KINDS, *_MEANS), NAN) | dict.fromkeys(_SIZES, 0)
    for kind, score in by_kind.items():
        row[kind] = score.n_correct / score.n if score.n else NAN
        if kind in _UNSEEN:
            row[f"p_{kind}"], row[f"n_{kind}"] = score.mean_p, score.n
    return row


def _looked(reading: TypeReading | None, measure: Measure) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("fit", "change", "low", "high", "edge", "said", "own", "other"), NAN)
    if reading is None:
        return row
    row["fit"] = reading.fit
    row["own"], row["other"] = (sum(side) / len(side) if side else NAN for side in (reading.own, reading.other))
    if change := reading.change.get(measure):
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
