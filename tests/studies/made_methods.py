"""Tables of a study of methods that never ran: seeded, with a truth that the tests choose."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from engine.domain.studies import Finding, FindingFigure, Grid, StudySpec, StudyTables
from engine.studies.findings import METHOD_QUESTIONS
from engine.studies.tables import CAPTURE_COLUMNS, CIRCUIT_COLUMNS, COMPONENT_COLUMNS, RUN_COLUMNS
from tests.studies.one_question import question

SPEC = StudySpec(name="methods", asks="methods", grids=(Grid(),))
CORPORA = ("add-sub", "mul-div", "composition", "demo")
METHODS = (("lora", ""), ("circuit_lora", ""), ("random_lora", ""), ("circuit_tuning", ""), ("circuit_lora", "union"))
SHARES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1)
LEVELS = (0.0, 0.1, 0.5, 0.9)
COMMAND = "python -m engine study data/methods.yaml"
# (corpus, method, variant, seed, chance) -> what a run has that is not dull
Truth = Callable[[str, str, str, int, np.random.Generator], dict[str, object]]


def dull(*_: object) -> dict[str, object]:
    return {}


def method_tables(
    truth: Truth = dull,
    *,
    n_seeds: int = 5,
    jaccard: tuple[float, float] = (0.8, 0.4),
    unlike: Mapping[str, tuple[float, float]] | None = None,
    base_nodes: float = 0.8,
    faithful: tuple[float, float] = (0.8, 0.8),
    robust: tuple[float, float, float] = (0.9, 0.7, 0.1),
    perturbed: tuple[float, float, float] | None = None,
    spread: float = 0.01,
) -> StudyTables:
    """jaccard: of nodes and edges with the base, unlike: of single tasks; faithful: union and direct at 5%; robust:
    edges of fifths in the tuned, the base and the random model, base_nodes: nodes in the base; perturbed: edges of
    perturbed inputs, at least as robust. A run of a search stands first, which no question may count."""
    runs: list[dict[str, object]] = [_run("add-sub", "lora", "", 99) | {"stage": "search", "accuracy": 0.0}]
    components, circuits = [], []
    for place, (corpus, (method, variant)) in enumerate((c, m) for c in CORPORA for m in METHODS):
        if variant and corpus != "composition":
            continue
        for seed in range(n_seeds):
            rng = np.random.default_rng([place, seed])
            run = _run(corpus, method, variant, seed) | truth(corpus, method, variant, seed, rng)
            runs.append(run)
            if method in ("lora", "circuit_tuning"):
                components += _components(str(run["run"]), (unlike or {}).get(corpus, jaccard), spread * rng.normal())
            if method == "lora":
                noise = spread * rng.normal(size=3)
                circuits += _robustness(str(run["run"]), robust, perturbed or robust, base_nodes, noise)
            if variant:
                circuits += _union(str(run["run"]), faithful, spread * rng.normal(size=2))
    return StudyTables(
        pd.DataFrame(runs, columns=list(RUN_COLUMNS)),
        pd.DataFrame(columns=list(CAPTURE_COLUMNS)),
        pd.DataFrame(components, columns=list(COMPONENT_COLUMNS)),
        pd.DataFrame(circuits, columns=list(CIRCUIT_COLUMNS)),
    )


def found(key: str, made: StudyTables) -> Finding:
    return question(key, METHOD_QUESTIONS)(made, SPEC, COMMAND)


def figure(finding: Finding, name: str, unit: str | None = None) -> FindingFigure:
    return next(f for f in finding.figures if f.name == name and unit in (None, f.unit))


def _run(corpus: str, method: str, variant: str, seed: int) -> dict[str, object]:
    name = "-".join((corpus, method, *([variant] if variant else []), f"s{seed}"))
    return {
        "run": name, "corpus": corpus, "method": method, "variant": variant, "stage": "grid", "seed": seed,
        "stopping": "none", "curriculum": "uniform", "learning_rate": 2e-3, "rank": 8, "n_steps": 500,
        "stopped_at": float("nan"), "accuracy": 0.5, "accuracy_base": 0.0, "retained": 0.6, "retained_base": 1.0,
        "n_trainable": 164864, "n_moved": 164864.0, "train_s": 10.0, "prepared_s": 0.0, "peak_mb": 20.0,
        "critical_layers": f"{1 + seed}" if method == "random_lora" else "0 1" if variant else "0",
        "look_s": 0.0, "refresh_s": 0.0, "waited_s": 0.0,
        "command": f"python -m engine train --name {name}",
    }  # fmt: skip


def _components(run: str, jaccard: tuple[float, float], noise: float) -> list[dict[str, object]]:
    base = {"run": run, "step": 0, "n_edges": 20, "n_nodes": 10, "layer_change": ""}
    nodes, edges = (value + noise for value in jaccard)
    later = {"node_jaccard_base": nodes, "edge_jaccard_base": edges, "delta_nodes": 0.2 + noise, "delta_edges": 0.8}
    return [base, {**base, "step": 50, **later, "delta_nodes": 0.1}, {**base, "step": 100, **later}]


def _robustness(
    run: str, robust: Sequence[float], perturbed: Sequence[float], base_nodes: float, noise: Sequence[float]
) -> list[dict[str, object]]:
    return [
        {
            "run": run, "kind": "robustness", "subject": subject, "measure": measure, "level": level,
            "value": base_nodes if measure == "nodes" else (fifths if not level else inputs) + more,
            "n": 10,
        }
        for subject, fifths, inputs, more in zip(("tuned", "base", "random"), robust, perturbed, noise, strict=True)
        for measure in ("nodes", "edges")
        for level in LEVELS
    ]  # fmt: skip


def _union(run: str, faithful: Sequence[float], noise: Sequence[float]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for share in SHARES:
        shared = {"run": run, "kind": "union", "subject": "", "level": share}
        for name, value, more in zip(("union", "direct"), faithful, noise, strict=True):
            rows.append({**shared, "measure": name, "value": value * min(1, share / 0.05) + more, "n_edges": 20})
        rows += [{**shared, "measure": name, "value": value} for name, value in (("nodes", 0.8), ("edges", 0.5))]
    return rows
