"""What pages and the command line ask of a store. Nothing here needs torch."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.domain.acted import Acted
from engine.domain.continuation import says
from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, NotFound
from engine.domain.graphs import AttributionGraph, Comparison, ComparisonKey, GraphKey
from engine.domain.interventions import Intervention, InterventionKey
from engine.domain.runs import Checkpoint
from engine.domain.taught import Taught
from engine.domain.timelapse import Moment
from engine.store import Store

if TYPE_CHECKING:
    import pandas as pd


def stored_comparison(store: Store, a: str, b: str, prompt: str, transcoders: str = "") -> Comparison | None:
    """The stored pair (RUN@LABEL, canonical), or None where it has not been traced.

    A pair stored the other way round is turned. Without `transcoders` the newest pair is taken. Raises Damaged.
    """
    if found := store.comparison(a, b, prompt, transcoders):
        return found
    if found := store.comparison(b, a, prompt, transcoders):
        key = ComparisonKey(a=a, b=b, prompt=prompt, transcoders=found.key.transcoders)
        return Comparison(key=key, graph_a=found.graph_b, graph_b=found.graph_a)
    return None


def comparison_found(store: Store, a: str, b: str, prompt: str, transcoders: str = "") -> Comparison:
    """`stored_comparison`, with both names as a user writes them. Raises NotFound, InputError, Damaged."""
    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    if found := stored_comparison(store, ref_a, ref_b, prompt, transcoders):
        return found
    prompts = dict.fromkeys(known.key.prompt for known in store.comparisons_of(ref_a, ref_b))
    raise NotFound(f"comparison of {ref_a} with {ref_b}", prompt, list(prompts))


def comparison_graphs(
    store: Store, a: str, b: str, prompt: str, transcoders: str = "", max_features: int | None = None
) -> tuple[AttributionGraph, AttributionGraph] | None:
    """The stored graphs of both sides, as `stored_comparison`; with `max_features` those traced so. Raises Damaged."""
    found = stored_comparison(store, a, b, prompt, transcoders)
    if found is None or not _traced_with(found.graph_a, max_features):
        return None
    return store.graph_pair(found.graph_a, found.graph_b)


def stored_acted(
    store: Store, a: str, b: str, prompt: str, answers: Sequence[str] = (), against: Sequence[str] = ()
) -> Acted | None:
    """Where training acted from A to B (RUN@LABEL, canonical), or None where it has not been measured: of the answers,
    or of what B says where none is named; minus those `against`. Raises Damaged."""
    for key in store.acted_keys():
        if (key.checkpoints[0], key.checkpoints[-1], key.prompt) != (a, b, prompt):
            continue
        found = store.acted(key)
        if found is None:
            continue
        n = len(key.explained.answers)
        of_answers = _say(store, found, found.words[:n], answers) if answers else found.is_said
        if of_answers and _say(store, found, found.words[n:], against):
            return found
    return None


def _say(store: Store, found: Acted, outputs: Sequence[str], words: Sequence[str]) -> bool:
    """Whether outputs of what was measured are these words, one by one."""
    if len(outputs) != len(words):
        return False
    if all(output == word for output, word in zip(outputs, words, strict=True)):
        return True
    key = found.key
    probe = store.probe_with([ref.partition("@")[0] for ref in (key.checkpoints[0], key.checkpoints[-1])], key.prompt)
    spaced = any(token.startswith(" ") for token in found.tokens)
    return all(
        says(output, key.prompt, word, blank=probe.blank if probe else None, with_blanks=spaced)
        for output, word in zip(outputs, words, strict=True)
    )


def stored_taught(
    store: Store, checkpoint: str, prompt: str, answer: str = "", constraint_type: str = ""
) -> Taught | None:
    """Which examples taught a checkpoint (RUN@LABEL, canonical) an answer, or what it says where none is named, or a
    constraint type where `prompt` is empty. None where it has not been measured. Raises Damaged."""
    for key in store.taught_keys():
        if (key.checkpoints[-1], key.prompt, key.constraint_type) == (checkpoint, prompt, constraint_type):
            found = store.taught(key)
            if found is not None and (not prompt or (_answers(store, found, answer) if answer else found.is_said)):
                return found
    return None


def _answers(store: Store, found: Taught, answer: str) -> bool:
    key = found.key
    probe = store.probe_with([key.checkpoints[-1].partition("@")[0]], key.prompt)
    blank = probe.blank if probe else None
    # One token without a blank does not tell whether the tokenizer writes any.
    return says(found.answer, key.prompt, answer, blank=blank, with_blanks=found.answer.startswith(" "))


def known_examples(store: Store, run: str) -> Corpus:
    """The corpus that a run was trained on. Raises NotFound (the run), Damaged, and InputError where its training
    examples are not known."""
    config = store.run(run)
    if config.imported:
        raise InputError(
            f"The run “{run}” was trained elsewhere and imported, so its training examples are not known here."
        )
    try:
        corpus = store.corpus(config.corpus)
    except NotFound as error:
        raise InputError(
            f"The corpus “{config.corpus}” that “{run}” was trained on is not there any more, so its training examples "
            "are not known."
        ) from error
    if config.corpus_hash not in ("", corpus.hash):
        raise InputError(
            f"The corpus “{config.corpus}” has changed since “{run}” was trained on it, so its training examples are "
            "not known."
        )
    return corpus


def moments(store: Store, a: str, b: str) -> tuple[Moment, ...]:
    """What a time-lapse of two checkpoints shows, by ascending step, the base first.

    Of two runs: every step at which either has a checkpoint, each side at its latest one by then. Of one run: A stays,
    and B moves over all checkpoints. Raises NotFound, InputError.
    """
    side_a, side_b = store.checkpoint(a), store.checkpoint(b)
    of_b = store.checkpoints(side_b.run)
    if side_a.run == side_b.run:
        return tuple(Moment(step=c.step, a=side_a.ref, b=c.ref) for c in of_b)
    of_a = store.checkpoints(side_a.run)
    steps = sorted({c.step for c in (*of_a, *of_b)})
    return tuple(Moment(step=step, a=_latest(of_a, step).ref, b=_latest(of_b, step).ref) for step in steps)


def timelapse_order(moments: Sequence[Moment], step: int) -> tuple[str, ...]:
    """The checkpoints of all moments, each once, in the order in which to trace them: nearest to `step` first."""
    places = sorted(moments, key=lambda moment: moment.step)
    here = min(range(len(places)), key=lambda place: abs(places[place].step - step), default=0)
    near = sorted(range(len(places)), key=lambda place: abs(place - here))
    return tuple(dict.fromkeys(ref for place in near for ref in (places[place].a, places[place].b)))


def timelapse_keys(
    store: Store, a: str, b: str, prompt: str, transcoders: str = ""
) -> dict[int, tuple[GraphKey, GraphKey]]:
    """By step, the moments of (a, b) whose two graphs are stored, traced as the stored comparison of (a, b, prompt):
    to the same targets, with the same transcoders and settings. Empty where there is no such comparison.

    Raises NotFound, InputError, Damaged.
    """
    shown = moments(store, a, b)
    pair = stored_comparison(store, store.checkpoint(a).ref, store.checkpoint(b).ref, prompt, transcoders)
    if pair is None:
        return {}
    refs = dict.fromkeys(ref for moment in shown for ref in (moment.a, moment.b))
    found = {ref: traced_alike(store.graph_keys(ref), pair.graph_a) for ref in refs}
    pairs = ((moment.step, found[moment.a], found[moment.b]) for moment in shown)
    return {step: (key_a, key_b) for step, key_a, key_b in pairs if key_a and key_b}


def timelapse_graphs(
    store: Store, a: str, b: str, prompt: str, transcoders: str = ""
) -> dict[int, tuple[AttributionGraph, AttributionGraph]]:
    """The graphs of `timelapse_keys`. Raises as it does."""
    keys = timelapse_keys(store, a, b, prompt, transcoders)
    return {step: store.graph_pair(*pair) for step, pair in keys.items()}


def stored_interventions(
    store: Store, graphs: tuple[AttributionGraph, AttributionGraph], features: Iterable[str], factor: float
) -> tuple[Intervention | None, Intervention | None]:
    """What changing `features` by `factor` did to either side, as far as it is stored. Raises Damaged."""
    chosen = tuple(sorted(set(features)))
    a, b = (store.intervention(InterventionKey(graph=g.key, features=chosen, factor=factor)) for g in graphs)
    return a, b


def tried(store: Store, graphs: tuple[AttributionGraph, AttributionGraph]) -> list[Intervention]:
    """Every stored intervention on either side. Raises Damaged."""
    keys = dict.fromkeys(graph.key for graph in graphs)  # both sides of a comparison may be one checkpoint
    return [one for key in keys for one in store.interventions(key)]


def traced_graph(
    store: Store, checkpoint: str, prompt: str, transcoders: str = "", max_features: int | None = None
) -> AttributionGraph | None:
    """The stored graph of one checkpoint to its own top tokens, or None where there is none. Raises Damaged.

    With `max_features` one that was traced so.
    """
    for key in store.graph_keys(checkpoint):
        same = key.prompt == prompt and not key.targets and transcoders in ("", key.transcoders)
        if same and _traced_with(key, max_features):
            return store.graph(key)
    return None


def _traced_with(key: GraphKey, max_features: int | None) -> bool:
    return max_features in (None, key.settings.max_feature_nodes)


def run_scores(store: Store, run: str) -> "pd.DataFrame":
    """Learning curves of a run: one row a step, constraint type and probe kind (`engine.analysis.curves`).

    No row where nothing was measured, as of a run imported without a corpus. Raises NotFound (the run, or the corpus of
    its probes), Damaged, InputError (the corpus is not the one that was measured).
    """
    from engine.analysis.curves import probe_scores  # and with it pandas, which a first trace does not wait for

    corpus, results = store.run(run).corpus, store.probe_results(run)
    return probe_scores(store.corpus(corpus).probes if results else (), results)


def _latest(checkpoints: Sequence[Checkpoint], step: int) -> Checkpoint:
    """The last of the ascending checkpoints at or before the step; the base is before all."""
    return checkpoints[max(0, bisect_right(checkpoints, step, key=lambda c: c.step) - 1)]


def traced_alike(keys: Iterable[GraphKey], like: GraphKey) -> GraphKey | None:
    """The first that asks the same of its checkpoint: the prompt, the targets, with the same transcoders."""
    return next((key for key in keys if _asked(key) == _asked(like)), None)


def _asked(key: GraphKey) -> GraphKey:
    """What was asked of any checkpoint."""
    return key.model_copy(update={"checkpoint": "", "checkpoint_hash": ""})
