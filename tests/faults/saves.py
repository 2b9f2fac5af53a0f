"""Everything that changes a workspace, by the store's methods: each one changes a workspace that holds one of each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.domain.decisions import RunDecisions
from engine.domain.feature_names import FoundLabels
from engine.domain.graphs import GraphPair, PairMeasures
from engine.domain.models import ModelSpec
from engine.domain.runs import LossLog, RunConfig, RunNotes, TuningLog, WrittenTexts
from engine.domain.studies import RunOutcome
from engine.store import Store
from tests.store.artefacts import (
    add_checkpoint,
    add_comparison,
    add_run,
    add_transcoders,
    comparison,
    corpus,
    graph,
    key,
    meta,
    results,
)
from tests.store.test_store_acted import acted
from tests.store.test_store_components import curve, scores
from tests.store.test_store_learned import series, study, tables
from tests.store.test_store_notes import facts, feature_key, intervention
from tests.store.test_store_taught import taught

LABELS = FoundLabels(["one@base"], 100, {"0/7": (["blarf"], ["smiles"])})
# What takes several steps: a failure may leave some of them done, and doing it again does the rest.
STEPWISE = {"save_study", "delete_run", "rename_run", "free", "remove_unused_vocabularies"}
# What nobody needs any more and the next deletion takes away.
LEFT = {"delete_run": ("vocabularies/unused/added.json",)}


def fill(store: Store) -> None:
    """One of each."""
    add_run(store, "one")
    add_run(store, "two", steps=(0,))
    save_resume_state(store, "older")
    add_transcoders(store)
    add_comparison(store)
    store.save_corpus(corpus("unused"))
    store.save_model(model("old"))
    store.save_series(series())
    store.save_components(scores())
    store.save_acted(acted())
    store.save_features(feature_key(), {(0, 7): facts(0, 7)})
    store.save_intervention(intervention())
    store.set_label("ab12", "0/7", "old")
    store.save_outcome("grid", outcome("one"))
    save_vocabulary(store, "unused")


def model(name: str) -> ModelSpec:
    return ModelSpec(name=name, source="folder", location="/somewhere")


def outcome(name: str) -> RunOutcome:
    return RunOutcome(
        config=RunConfig(name=name, corpus="words"), captures=(), n_steps=4, stopped_at=None, train_s=1.0, look_s=0.0,
        refresh_s=0.0, waited_s=0.0,
    )  # fmt: skip


def pair() -> PairMeasures:
    return PairMeasures(
        GraphPair.of(key("one@base"), key("one@100%")), np.array([1.5], np.float32), np.array([3], np.float32)
    )


def save_resume_state(store: Store, text: str) -> None:
    with store.new_resume_state("one") as folder:
        (folder / "progress.json").write_text(text, encoding="utf-8")


def save_vocabulary(store: Store, name: str) -> None:
    (made := Path(store.workspace.parent, f"made-{name}")).mkdir(exist_ok=True)
    (made / "added.json").write_text("{}", encoding="utf-8")
    store.save_vocabulary(name, made)


def new_run(store: Store) -> None:
    with store.new_run(RunConfig(name="four", corpus="words")) as folder:
        (folder / "checkpoints").mkdir()
        (folder / "losses.json").write_text(LossLog().to_json(), encoding="utf-8")


# `METHOD`, or `METHOD: what of it`.
SAVES: dict[str, Callable[[Store], object]] = {
    "save_corpus": lambda store: store.save_corpus(corpus("more")),
    "save_model": lambda store: store.save_model(model("more")),
    "save_model: replaced": lambda store: store.save_model(model("old").model_copy(update={"location": "/elsewhere"})),
    "save_vocabulary": lambda store: save_vocabulary(store, "more"),
    "save_run": lambda store: store.save_run(RunConfig(name="three", corpus="words")),
    "save_corpus_of_run": lambda store: store.save_corpus_of_run("one", store.corpus("unused")),
    "new_run": new_run,
    "new_checkpoint": lambda store: add_checkpoint(store, "one", 3, n=65),
    "new_checkpoint: replaced": lambda store: add_checkpoint(store, "one", 2, n=65),
    "new_resume_state": lambda store: save_resume_state(store, "newer"),
    "save_probe_results": lambda store: store.save_probe_results("one", 2, results(p=0.9)),
    "save_losses": lambda store: store.save_losses("one", LossLog(step=(1,), loss=(2.0,), learning_rate=(1e-3,))),
    "save_tuning": lambda store: store.save_tuning("one", TuningLog()),
    "save_decisions": lambda store: store.save_decisions("one", RunDecisions()),
    "save_written_texts": lambda store: store.save_written_texts("one", WrittenTexts(texts=("a", "b"))),
    "save_run_notes": lambda store: store.save_run_notes("one", RunNotes(note="good")),
    "new_transcoder_set": lambda store: add_transcoders(store, meta("more")),
    "save_graph": lambda store: store.save_graph(graph(key("one@50%"))),
    "save_comparison": lambda store: store.save_comparison(comparison("one@100%", "one@base")),
    "save_pair_measures": lambda store: store.save_pair_measures(pair()),
    "save_features": lambda store: store.save_features(feature_key(), {(3, 5): facts(3, 5)}),
    "save_intervention": lambda store: store.save_intervention(intervention("one@100%")),
    "add_automatic_labels": lambda store: store.add_automatic_labels("ab12", LABELS),
    "set_label": lambda store: store.set_label("ab12", "0/7", "new"),
    "set_supernode": lambda store: store.set_supernode("ab12", "happy ones", ["0/7", "0/8"]),
    "save_series": lambda store: store.save_series(series(kind="inference")),
    "save_components": lambda store: store.save_components(scores(scores().key.model_copy(update={"pairs": "more"}))),
    "save_circuit_report": lambda store: store.save_circuit_report(curve()),
    "save_study": lambda store: store.save_study(study(), tables()),
    "save_outcome": lambda store: store.save_outcome("grid", outcome("two")),
    "save_acted": lambda store: store.save_acted(acted(acted().key.model_copy(update={"prompt": "the dog"}))),
    "save_taught": lambda store: store.save_taught(taught()),
    "delete_resume_state": lambda store: store.delete_resume_state("one"),
    "delete_corpus": lambda store: store.delete_corpus("unused"),
    "delete_model": lambda store: store.delete_model("old"),
    "delete_transcoder_set": lambda store: store.delete_transcoder_set("shared"),
    "delete_run": lambda store: store.delete_run("one"),
    "rename_run": lambda store: store.rename_run("one", "uno"),
    "remove_unused_vocabularies": lambda store: store.remove_unused_vocabularies(),
    "free": lambda store: store.free(["graphs", "measures"]),
}
