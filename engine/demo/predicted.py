"""How well graphs of the bundled runs predict interventions: single features and groups, one prompt a word.

Half of what is tried are features with the largest part of what the checkpoint says, as a person would choose them;
the other half is drawn from all that are active.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.agreement import Agreement, agreement
from engine.analysis.parts import node_parts, said_output
from engine.demo import recipe
from engine.demo.records import Figure, Figures
from engine.domain.corpus import Probe
from engine.domain.errors import Damaged
from engine.domain.graphs import AttributionGraph, GraphKey, NodeKind
from engine.domain.interventions import Intervention
from engine.store import Store
from engine.store.files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.replacement import Replacement

RUNS = (recipe.RUN_A, recipe.RUN_B)
CHOICES = ("largest", "random")
N_WORDS = 2  # of each constraint type, for the card; the bench takes all (`bench --only predicted`)
N_TRIED = {1: 5, 5: 2, 20: 2}  # features switched off together: how many times on each prompt, for either choice
# Where a feature is only just active on one machine, others are drawn at random on the next.
_TOLERANCES = {"n": 12, "rank_correlation": 0.15, "size": 0.5, "signs": 0.1, "signs_of_large": 0.15}


@dataclass(frozen=True)
class Tried:
    """One intervention, and how its features were chosen."""

    run: str
    choice: str
    n_together: int
    found: Intervention


def tried_on(
    store: Store, replacement: "Replacement", n_words: int | None = None, factor: float = 0.0
) -> Iterator[Tried]:
    """In the last checkpoint of both runs; `n_words` of each constraint type, None: all. Raises NotFound, Damaged."""
    from engine.models.sharing import checkpoint_model

    for run in RUNS:
        merged = checkpoint_model(replacement.loaded, store.checkpoint(f"{run}@100%").adapter)
        for probe in probes_tried(store, run, n_words):
            yield from _tried(replacement, merged, run, probe, factor)


def probes_tried(store: Store, run: str, n_words: int | None = None) -> list[Probe]:
    """The first inference probe of each word."""
    probes = [probe for probe in store.corpus(store.run(run).corpus).probes if probe.kind == "inference"]
    first: dict[str, dict[str, Probe]] = defaultdict(dict)
    for probe in probes:
        first[probe.constraint_type].setdefault(probe.constraint, probe)
    return [probe for words in first.values() for probe in list(words.values())[:n_words]]


def _tried(
    replacement: "Replacement", merged: "PreTrainedModel", run: str, probe: Probe, factor: float
) -> Iterator[Tried]:
    from engine.attribution.interventions import interventions_on

    graph = traced(replacement, merged, run, probe)
    sets = sets_of(graph)
    groups = [group for chosen in sets.values() for group in chosen]
    done = iter(interventions_on(replacement, graph, merged, groups, factor))
    for (choice, n_together), chosen in sets.items():
        for _ in chosen:
            yield Tried(run, choice, n_together, next(done))


def traced(replacement: "Replacement", merged: "PreTrainedModel", run: str, probe: Probe) -> AttributionGraph:
    """The probe's graph in the last checkpoint of a run, to the outputs of a comparison with the base."""
    from engine.attribution.targets import common_targets
    from engine.attribution.trace import trace_graph

    loaded = replacement.loaded
    key = GraphKey(
        checkpoint=f"{run}@100%",
        checkpoint_hash="",
        prompt=probe.text,
        transcoders=recipe.TRANSCODERS,
        transcoders_hash="",
        targets=common_targets(loaded, [loaded.model, merged], probe.text, probe),
    )
    return trace_graph(replacement, key=key, merged=merged)


def sets_of(graph: AttributionGraph) -> dict[tuple[str, int], list[list[str]]]:
    """By choice and number of features: the sets of features that are switched off."""
    features = np.flatnonzero(graph.kind == NodeKind.FEATURE)
    parts = np.abs(node_parts(graph, said_output(graph))[features])
    order = features[np.argsort(-parts, kind="stable")]
    rng = np.random.default_rng(0)
    ids = graph.node_ids()
    found: dict[tuple[str, int], list[list[str]]] = {}
    for n, times in N_TRIED.items():
        largest = np.split(order[: n * times], times)
        drawn = [rng.choice(features, n, replace=False) for _ in range(times)]
        for choice, chosen in zip(CHOICES, (largest, drawn), strict=True):
            found[choice, n] = [[ids[row] for row in group] for group in chosen]
    return found


def agreements(everything: Iterable[Tried]) -> dict[str, Agreement]:
    """Of `all`, and of each `RUN/CHOICE/N`."""
    found: dict[str, list[Intervention]] = defaultdict(list)
    for one in everything:
        for name in ("all", f"{one.run}/{one.choice}/{one.n_together}"):
            found[name].append(one.found)
    by_name = {name: agreement(rows) for name, rows in found.items()}
    return {name: one for name, one in by_name.items() if one is not None}


def prediction_figures(store: Store, replacement: "Replacement") -> Iterator[Figure]:
    """`agreements` on some words. Raises NotFound, Damaged."""
    for where, found in agreements(tried_on(store, replacement, N_WORDS)).items():
        for name, value in asdict(found).items():
            yield Figure(name=f"predicted/{where}/{name}", value=round(value, 2), tolerance=_TOLERANCES.get(name, 0.0))


def stated_agreement(store: Store) -> Agreement | None:
    """Of all that was tried when the demo was built (figures.json); None where it has no such figures."""
    try:
        return stated_in(read_json((store.bundled or store.workspace) / "figures.json", Figures).values(), "all")
    except (Damaged, KeyError, OSError):
        return None


def stated_in(values: Mapping[str, int | float | str], where: str) -> Agreement:
    """`where`: a name of `agreements`. Raises KeyError."""
    return Agreement(**{field.name: values[f"predicted/{where}/{field.name}"] for field in fields(Agreement)})  # type: ignore[arg-type]
