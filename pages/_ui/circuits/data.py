"""What the Circuits page asks of the store, kept between reruns. No widgets, no torch."""

from collections.abc import Mapping

import pandas as pd

from engine.analysis.components.selection import How, select
from engine.domain.components import Circuit, ComponentKey, ComponentScores, ScoreSettings
from engine.domain.edge_measures import Metric
from engine.domain.errors import InputError, TracelapseError
from engine.figures.component_map import HeadEffects, head_effects
from engine.figures.component_view import (
    ComponentSide,
    ComponentView,
    component_view,
    edge_changes,
    node_changes,
)
from engine.store import Store
from engine.workflows.changes import latest_series
from engine.workflows.component_queries import (
    ComponentChange,
    FeatureLikeness,
    FoundCircuits,
    component_change,
    feature_likeness,
    settings_found,
)
from pages._ui.cached import stamp
from pages._ui.kept import kept


def found_for(store: Store, run: str, pairs: str, metric: Metric, n_steps: int | None = None) -> FoundCircuits | None:
    """The first way in which circuits of the run were found with this metric on these pairs, with so many points."""
    ways = ways_for(store, run, pairs, metric)
    return next((one for one in ways if n_steps in (None, one.settings.n_steps)), None)


def ways_for(store: Store, run: str, pairs: str, metric: Metric) -> list[FoundCircuits]:
    """All of them, in the order of `settings_found`."""
    return [one for one in settings_found(store, run) if one.pairs == pairs and one.settings.metric == metric]


def settings_for(found: FoundCircuits | None, metric: Metric) -> ScoreSettings:
    """What is asked for: the same as before, so that what is there need not be made again."""
    return found.settings if found else ScoreSettings(metric=metric)


def keys_by_step(found: FoundCircuits) -> Mapping[int, ComponentKey]:
    return dict(zip(found.steps, found.keys, strict=True))


def scores_of(store: Store, key: ComponentKey) -> ComponentScores:
    """Raises NotFound, Damaged."""
    return _scores(store, str(store.workspace), key.hash)


@kept()
def _scores(_store: Store, workspace: str, digest: str) -> ComponentScores:
    return _store.components(digest)


def circuit_of(store: Store, key: ComponentKey, share: float, how: How) -> Circuit:
    """The pruned circuit. Raises InputError, with the checkpoint's name, where pruning leaves nothing."""
    return _circuit(store, key, str(store.workspace), key.hash, share, how)


@kept()
def _circuit(_store: Store, _key: ComponentKey, workspace: str, digest: str, share: float, how: How) -> Circuit:
    scores = scores_of(_store, _key)
    try:
        return select(scores.scores, scores.shape, share=share, how=how)
    except InputError as error:
        raise InputError(f"{_key.checkpoint}: {error}") from error


def edges_of(a: ComponentSide, b: ComponentSide, share: float, how: How) -> pd.DataFrame:
    """As `edge_changes`; made once for each pair of checkpoints, share and way of choosing; nobody changes it."""
    return _edges(a, b, a.scores.key.hash, b.scores.key.hash, share, how)


@kept()
def _edges(_a: ComponentSide, _b: ComponentSide, *made_from: object) -> pd.DataFrame:
    return edge_changes(_a, _b)


def nodes_of(a: ComponentSide, b: ComponentSide, share: float, how: How) -> pd.DataFrame:
    """As `node_changes`; likewise."""
    return _nodes(a, b, a.scores.key.hash, b.scores.key.hash, share, how)


@kept()
def _nodes(_a: ComponentSide, _b: ComponentSide, *made_from: object) -> pd.DataFrame:
    return node_changes(_a, _b)


def view_of(a: ComponentSide, b: ComponentSide, share: float, how: How) -> ComponentView:
    """As it is drawn; likewise."""
    return _view(a, b, a.scores.key.hash, b.scores.key.hash, share, how, a.name, b.name, a.loss, b.loss)


@kept()
def _view(_a: ComponentSide, _b: ComponentSide, *made_from: object) -> ComponentView:
    return component_view(_a, _b)


def effects_of(store: Store, key: ComponentKey, name: str, step: int) -> HeadEffects:
    """Raises NotFound, Damaged."""
    return _effects(store, key, str(store.workspace), key.hash, name, step)


@kept()
def _effects(_store: Store, _key: ComponentKey, workspace: str, digest: str, name: str, step: int) -> HeadEffects:
    return head_effects(scores_of(_store, _key), name, step)


def change_of(store: Store, found: FoundCircuits, share: float, how: How) -> ComponentChange:
    """What changed over the checkpoints, q, k and v of a head as one edge. Raises as `component_change`."""
    return _change(store, found, str(store.workspace), tuple(key.hash for key in found.keys), share, how)


@kept()
def _change(
    _store: Store, _found: FoundCircuits, workspace: str, keys: tuple[str, ...], share: float, how: How
) -> ComponentChange:  # fmt: skip
    return component_change(_store, _found, share=share, how=how, qkv="merged")


def features_of(store: Store, run: str) -> dict[tuple[int, int], tuple[FeatureLikeness, ...]]:
    """The likeness of feature graphs; empty where there are none or they cannot be laid side by side."""
    series = latest_series(store, run)
    seen = (len(store.decisions(run).readings), len(series.graphs) if series else 0)
    return _features(store, str(store.workspace), run, stamp(store, run), seen)


@kept("Comparing the attribution graphs of all checkpoints …")
def _features(
    _store: Store, workspace: str, run: str, measured: object, seen: tuple[int, int]
) -> dict[tuple[int, int], tuple[FeatureLikeness, ...]]:
    try:
        return feature_likeness(_store, run)
    except TracelapseError:
        return {}
