"""Groups of probes, which of them to take, and what is stored of them."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from engine.domain.corpus import Corpus, Probe
from engine.domain.diffs import DiffSettings
from engine.domain.errors import InputError, NotFound
from engine.domain.graphs import AttributionGraph, Comparison, ComparisonKey
from engine.domain.runs import RunConfig
from engine.store import Store
from engine.workflows.prompt_groups import ProbeGroup, group_comparisons, group_prompts, group_transcoders, probe_groups
from tests.analysis.micro_graphs import random_graph
from tests.store.artefacts import add_checkpoint, add_run

A, B = "one@base", "one@100%"
TEMPLATES = ("the {n} feels {w} and", "a {w} {n} often", "when the {n} is {w} it")
WORDS = ("blarf", "gleem", "vortik")


def probes(n: int = 18, *, kind: str = "inference", constraint_type: str = "simple_mapping") -> tuple[Probe, ...]:
    """In blocks: all of the first phrasing, then all of the second; words in turn."""
    made = []
    for number in range(n):
        template, word = TEMPLATES[number * len(TEMPLATES) // n], WORDS[number % len(WORDS)]
        text = template.format(n=f"noun{number}", w=word)
        made.append(
            Probe(
                id=f"{kind}-{number}", kind=kind, text=text, known_text=text, answer="smiles", foils=("cries",),
                constraint_type=constraint_type, constraint=word, meaning="happy", template=template,
            )
        )  # fmt: skip
    return tuple(made)


def group(n: int = 18) -> ProbeGroup:
    return ProbeGroup("simple_mapping", "inference", probes(n))


def run_on(store: Store, name: str, asked: tuple[Probe, ...], *, corpus: str = "many") -> None:
    corpus_hash = Corpus(corpus, (), asked).hash
    store.save_corpus(Corpus(corpus, (), asked))
    store.save_run(RunConfig(name=name, corpus=corpus, corpus_hash=corpus_hash, n_steps=4))
    for step in (0, 4):
        add_checkpoint(store, name, step, corpus_hash=corpus_hash)


def trace(
    store: Store, prompt: str, *, transcoders: str = "shared", state: str = "t", turned: bool = False
) -> tuple[AttributionGraph, AttributionGraph]:
    """Store a comparison of A and B; `turned`: the other way round."""
    graphs = []
    for side, checkpoint in enumerate((A, B)):
        made = random_graph(len(prompt) + 50 * side)
        key = made.key.model_copy(
            update={
                "checkpoint": checkpoint, "prompt": prompt, "transcoders": transcoders, "transcoders_hash": state,
            }
        )  # fmt: skip
        graphs.append(replace(made, key=key, target_tokens=("smiles", *made.target_tokens[1:])))
        store.save_graph(graphs[-1])
    first, second = graphs[::-1] if turned else graphs
    named = ComparisonKey(a=first.key.checkpoint, b=second.key.checkpoint, prompt=prompt, transcoders=transcoders)
    store.save_comparison(Comparison(key=named, graph_a=first.key, graph_b=second.key))
    return graphs[0], graphs[1]


def test_groups_of_both_runs_without_a_prompt_twice(store: Store) -> None:
    recall, inference = probes(3, kind="recall"), probes(6)
    spatial = probes(2, constraint_type="spatial_relationship")
    moved = tuple(probe.model_copy(update={"text": probe.text + " now"}) for probe in spatial)
    run_on(store, "one", (*inference[3:], *moved))
    run_on(store, "two", (*inference, *(p.model_copy(update={"text": p.text + " so"}) for p in recall)), corpus="more")
    groups = probe_groups(store, "one@base", "two@100%")
    assert [found.title for found in groups] == [
        "simple mapping · recall (3 prompts)",
        "simple mapping · inference (6 prompts)",
        "spatial relationship · inference (2 prompts)",
    ]
    texts = [probe.text for found in groups for probe in found.probes]
    assert len(texts) == len(set(texts))
    assert probe_groups(store, "one@base", "one@100%")[0].title == "simple mapping · inference (3 prompts)"


def test_no_corpus_no_groups(store: Store) -> None:
    add_run(store)
    shutil.rmtree(store.workspace / "corpora" / "words")
    assert probe_groups(store, A, B) == ()
    with pytest.raises(NotFound, match="33%"):
        probe_groups(store, "one@33%", B)


@pytest.mark.parametrize("n", [1, 3, 6, 9, 17])
def test_prompts_are_spread_over_phrasings_and_words(n):
    taken = group_prompts(group(), n)
    assert len({probe.text for probe in taken}) == n
    for trait in ("template", "constraint"):
        counts = Counter(getattr(probe, trait) for probe in taken)
        assert max(counts.values()) - min(counts.values() if len(counts) == 3 else [0]) <= 1
    assert group_prompts(group(), n + 1)[:n] == taken  # more prompts keep those that are traced already


def test_all_prompts_where_more_are_asked_for():
    assert set(group_prompts(group(5), 100)) == set(probes(5))
    with pytest.raises(InputError, match="at least one"):
        group_prompts(group(), 0)


def test_what_is_stored_is_ready_and_the_rest_is_missing(store: Store) -> None:
    asked = probes(4)
    graphs = trace(store, asked[1].text)
    trace(store, asked[3].text, turned=True)
    ready, missing = group_comparisons(store, A, B, asked, DiffSettings())
    assert [probe for probe, _ in ready] == [asked[1], asked[3]]
    assert missing == [asked[0].text, asked[2].text]
    for _, diff in ready:
        assert (diff.a.key.checkpoint, diff.b.key.checkpoint) == (A, B)
    assert ready[0][1].a.key == graphs[0].key
    back, _ = group_comparisons(store, B, A, asked, DiffSettings())
    assert [diff.a.key.checkpoint for _, diff in back] == [B, B]
    assert group_comparisons(store, A, "two@100%", asked, DiffSettings()) == ([], [probe.text for probe in asked])


def test_all_are_of_one_transcoder_set(store: Store) -> None:
    asked = probes(4)
    for probe in asked[:3]:
        trace(store, probe.text, transcoders="old", state="o")
    trace(store, asked[3].text, transcoders="new", state="n")
    trace(store, asked[0].text, transcoders="new", state="n")
    assert group_transcoders(store, A, B, asked) == "old"
    ready, missing = group_comparisons(store, A, B, asked, DiffSettings())
    assert ({diff.a.key.transcoders for _, diff in ready}, missing) == ({"old"}, [asked[3].text])
    ready, missing = group_comparisons(store, A, B, asked, DiffSettings(), transcoders="new")
    assert ({diff.a.key.transcoders for _, diff in ready}, missing) == ({"new"}, [asked[1].text, asked[2].text])
    assert group_transcoders(store, A, B, probes(6)[5:]) == ""


def test_what_was_traced_before_the_set_was_made_again_is_missing(store: Store) -> None:
    asked = probes(3)
    for probe in asked[:2]:
        trace(store, probe.text, state="before")
    trace(store, asked[2].text, state="after")
    ready, missing = group_comparisons(store, A, B, asked, DiffSettings())
    assert [diff.a.key.transcoders_hash for _, diff in ready] == ["after"]
    assert missing == [probe.text for probe in asked[:2]]


def test_a_damaged_or_lost_graph_is_missing(store: Store) -> None:
    asked = probes(3)
    kept, damaged, lost = (trace(store, probe.text)[0] for probe in asked)
    assert kept
    (store.workspace / "graphs" / f"{damaged.key.hash}.safetensors").write_bytes(b"no graph")
    (store.workspace / "graphs" / f"{lost.key.hash}.safetensors").unlink()
    ready, missing = group_comparisons(store, A, B, asked, DiffSettings())
    assert [probe for probe, _ in ready] == [asked[0]]
    assert missing == [asked[1].text, asked[2].text]
