"""What Compare asks of the store: which prompts, which graphs, their difference. No widgets."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan

from engine.analysis.diff import diff_graphs
from engine.analysis.parts import output_ids
from engine.analysis.supernodes import merge_supernodes
from engine.domain.annotations import Annotations
from engine.domain.corpus import PROBE_KINDS, Probe
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import NotFound
from engine.domain.feature_names import FeatureNames
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.queries import comparison_graphs
from pages._ui.compare.selection import Selection, Shown
from pages._ui.kept import kept


def probes_of(store: Store, *runs: str) -> dict[str, Probe]:
    """Prompt -> probe, of the corpora that the runs were trained on; empty where a corpus is gone."""
    probes: dict[str, Probe] = {}
    for corpus in dict.fromkeys(store.run(run).corpus for run in runs):
        try:
            probes |= {probe.text: probe for probe in store.corpus(corpus).probes}
        except NotFound:  # an imported run may name a corpus of elsewhere
            continue
    return probes


def traced_prompts(store: Store, a: str, b: str) -> list[str]:
    """Prompts on which these two checkpoints are traced already, newest first, each once."""
    return list(dict.fromkeys(known.key.prompt for known in store.comparisons_of(a, b)))


def ordered_prompts(probes: Mapping[str, Probe], traced: Sequence[str]) -> list[str]:
    """Traced ones first, then by the kinds' rank and by constraint type."""
    by_kind = sorted(probes.values(), key=lambda probe: (PROBE_KINDS[probe.kind].picker_rank, probe.constraint_type))
    return list(dict.fromkeys([*traced, *(probe.text for probe in by_kind)]))


def default_prompt(probes: Mapping[str, Probe], traced: list[str], learned: str = "") -> str:
    """The corpus's first traced one on what follows from a meaning; else a traced one; else what was `learned`; else
    the first; else none."""
    telling = [prompt for prompt, probe in probes.items() if probe.kind == "inference" and prompt in traced]
    known = [*telling, *traced, *([learned] if learned else [])]
    return next(iter([*known, *ordered_prompts(probes, traced)]), "")


def learned_most(store: Store, probes: Mapping[str, Probe], a: Checkpoint, b: Checkpoint) -> str:
    """The prompt whose right answer's probability changes most from A to B; empty where none was measured in both.

    Raises Damaged.
    """
    p = []
    for side in (a, b):
        found = store.probes_at(side)
        p.append({} if found is None else dict(zip(found.probe_id, found.p, strict=True)))
    by_prompt = {
        text: abs(p[1][probe.id] - p[0][probe.id])
        for text, probe in probes.items()
        if all(isfinite(side.get(probe.id, nan)) for side in p)
    }
    return max(by_prompt, key=by_prompt.__getitem__, default="")


def difference(store: Store, selection: Selection, settings: DiffSettings) -> GraphDiff | None:
    """The stored difference, or None where it has not been traced. Raises Damaged, ComparisonRefused.

    Outputs that the graphs were not traced to are not explained: what B finds most probable is.
    """
    a, b, prompt = selection.a.ref, selection.b.ref, selection.prompt
    found = store.comparison(a, b, prompt) or store.comparison(b, a, prompt)
    if found is None:
        return None
    return _difference(store, settings, a, b, prompt, str(store.workspace), found.to_json(), settings.to_json())


@kept()
def _difference(
    _store: Store, _settings: DiffSettings, a: str, b: str, prompt: str, workspace: str, made_from: str, settings: str
) -> GraphDiff | None:
    """Kept whole between reruns and tabs; nobody changes it. The strings are what it is kept under: a run that is
    made again under its old name has other graphs."""
    graphs = comparison_graphs(_store, a, b, prompt)
    if graphs is None:
        return None
    if _settings.explained and not set(_settings.explained.tokens) <= set(output_ids(graphs[1])):
        _settings = _settings.model_copy(update={"explained": None})
    return diff_graphs(*graphs, _settings)


def names_of(store: Store, diff: GraphDiff) -> FeatureNames:
    """What the features of this comparison's transcoders are called."""
    return store.feature_names(diff.a.key.transcoders_hash)


def drawn(diff: GraphDiff, annotations: Annotations, shown: Shown) -> GraphDiff:
    """As it is to be drawn: with supernodes as one node each, where that is asked for."""
    return merge_supernodes(diff, annotations) if shown.merged and annotations.supernodes else diff
