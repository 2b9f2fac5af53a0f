"""Feature facts, interventions and annotations: stored whole, merged, found again, removed with their run."""

import gzip
import threading
from pathlib import Path

import numpy as np
import pytest

from engine.domain.errors import Damaged, InputError
from engine.domain.feature_names import FoundLabels
from engine.domain.features import FeatureFacts, FeatureKey, FeatureText
from engine.domain.interventions import Intervention, InterventionKey
from engine.store import Store
from tests.store.artefacts import add_run, key

HOSTILE = "<script>alert(1)</script> \u2028 “${x}” href"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work", bundled=None)


def feature_key(checkpoint: str = "one@base") -> FeatureKey:
    return FeatureKey(
        checkpoint=checkpoint, checkpoint_hash="c", transcoders="set", transcoders_hash="ab12", texts_hash="t"
    )


def facts(layer: int, index: int, *, n_texts: int = 2) -> FeatureFacts:
    rng = np.random.default_rng(100 * layer + index)
    texts = tuple(
        FeatureText(("the", HOSTILE, f"t{n}"), rng.random(3, dtype=np.float32)) for n in range(n_texts)
    )  # fmt: skip
    return FeatureFacts(
        layer=layer, index=index, n_tokens=100, n_active=7, max_activation=1.25, counts=np.array([5, 2]), texts=texts,
        promoted=(("smiles", 0.5), (HOSTILE, 0.25)), suppressed=(("cries", -0.125),),
    )  # fmt: skip


def same(one: FeatureFacts, other: FeatureFacts) -> bool:
    plain = ("layer", "index", "n_tokens", "n_active", "max_activation", "promoted", "suppressed")
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and np.array_equal(one.counts, other.counts)
        and [text.tokens for text in one.texts] == [text.tokens for text in other.texts]
        and all(np.array_equal(a.activation, b.activation) for a, b in zip(one.texts, other.texts, strict=True))
    )


def intervention(checkpoint: str = "one@base") -> Intervention:
    return Intervention(
        key=InterventionKey(graph=key(checkpoint), features=("feature/0/1/7",)), changed=(), tokens=("a",),
        p_before=(0.5,), p_after=(0.25,), logit_before=(1.0,), logit_after=(0.5,), predicted=(-0.25,),
    )  # fmt: skip


def test_feature_facts_come_back_as_they_were_and_are_added_to(store: Store) -> None:
    first, second, third = facts(0, 7), facts(3, 70_000, n_texts=0), facts(1, 2)
    store.save_features(feature_key(), {(0, 7): first, (3, 70_000): second})
    store.save_features(feature_key(), {(1, 2): third})
    found = store.features(feature_key())
    assert set(found) == {(0, 7), (3, 70_000), (1, 2)}
    assert same(found[0, 7], first)
    assert same(found[3, 70_000], second)
    assert same(found[1, 2], third)
    assert found[0, 7].density == 0.07
    some = store.features(feature_key(), {(3, 70_000), (1, 2), (9, 9)})
    assert set(some) == {(3, 70_000), (1, 2)}
    assert same(some[3, 70_000], second)
    assert same(some[1, 2], third)
    assert store.features(feature_key("one@50%")) == {}
    assert store.feature_keys("one@base") == [feature_key()]
    assert store.check() == []


def test_damaged_feature_facts_are_told_by_file(store: Store) -> None:
    store.save_features(feature_key(), {(0, 7): facts(0, 7)})
    path = next(store.workspace.glob("features/*.safetensors"))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(Damaged, match=path.name):
        store.features(feature_key())
    assert [problem.path for problem in store.check() if problem.kind == "damaged"] == [path]


def test_an_intervention_is_found_by_what_was_done(store: Store) -> None:
    store.save_intervention(intervention())
    assert store.intervention(intervention().key) == intervention()
    assert store.intervention(intervention().key.model_copy(update={"factor": 2.0})) is None


def test_all_that_was_tried_on_one_graph_is_found(store: Store) -> None:
    here, other_prompt = intervention(), intervention().key.graph.model_copy(update={"prompt": "another"})
    twice = here.model_copy(update={"key": here.key.model_copy(update={"factor": 2.0})})
    elsewhere = here.model_copy(update={"key": here.key.model_copy(update={"graph": other_prompt})})
    for one in (here, twice, elsewhere, intervention("one@50%")):
        store.save_intervention(one)
    found = store.interventions(here.key.graph)
    assert sorted(one.key.factor for one in found) == [0.0, 2.0]
    assert all(one in (here, twice) for one in found)
    assert store.interventions(key("two@base")) == []


def test_a_deleted_run_takes_its_facts_and_interventions_along(store: Store) -> None:
    add_run(store, "one")
    add_run(store, "other")
    for checkpoint in ("one@base", "other@base"):
        store.save_features(feature_key(checkpoint), {(0, 7): facts(0, 7)})
        store.save_intervention(intervention(checkpoint))
    store.delete_run("one")
    assert store.features(feature_key("one@base")) == {}
    assert store.intervention(intervention("one@base").key) is None
    assert store.feature_keys("other@base") == [feature_key("other@base")]
    assert store.intervention(intervention("other@base").key) is not None


def test_labels_and_supernodes_are_text_and_can_be_taken_back(store: Store) -> None:
    store.set_label("ab12", "0/7", f"  {HOSTILE}\nsecond line ")
    store.set_supernode("ab12", "happy  things", ["3/1", "0/7", "0/7"])
    again = Store(store.workspace, bundled=None).annotations("ab12")
    assert again.labels == {"0/7": "<script>alert(1)</script> “${x}” href second line"}
    assert [(group.name, group.features) for group in again.supernodes] == [("happy things", ("0/7", "3/1"))]
    store.set_supernode("ab12", "happy things", ["3/1"])
    assert store.annotations("ab12").supernodes[0].features == ("3/1",)
    store.set_label("ab12", "0/7", "")
    store.set_supernode("ab12", "happy things", [])
    assert store.annotations("ab12").labels == {}
    assert store.annotations("ab12").supernodes == ()
    assert store.annotations("cd34").labels == {}
    assert store.check() == []


@pytest.mark.parametrize(("feature", "text"), [("0/7", "x" * 121), ("../7", "fine"), ("feature/0/1/7", "fine")])
def test_what_cannot_be_a_label_is_refused_and_nothing_is_changed(store: Store, feature: str, text: str) -> None:
    store.set_label("ab12", "1/1", "kept")
    with pytest.raises(InputError, match="cannot be saved"):
        store.set_label("ab12", feature, text)
    assert store.annotations("ab12").labels == {"1/1": "kept"}


def test_two_tabs_that_write_at_once_lose_nothing(store: Store) -> None:
    def write(first: int) -> None:
        for index in range(first, first + 10):
            store.set_label("ab12", f"0/{index}", f"label {index}")

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.annotations("ab12").labels) == 30


def test_automatic_labels_are_added_to_found_again_and_hidden_by_what_a_person_wrote(store: Store) -> None:
    assert store.feature_names("ab12").label(0, 7) is None  # a workspace without any
    store.add_automatic_labels(
        "ab12", FoundLabels(["one@base"], 100, {"0/7": ([HOSTILE], ["smiles"]), "0/8": ([], [])})
    )
    store.add_automatic_labels("ab12", FoundLabels(["two@base"], 50, {"1/2": (["smiles"], [HOSTILE])}))
    label = store.feature_names("ab12").label(1, 2)
    assert label
    assert label.more == f"smiles → {HOSTILE}"  # text is text
    assert label.measured
    assert label.measured.n_tokens == 50
    assert store.feature_names("cd34").label(0, 7) is None
    store.set_label("ab12", "1/2", "a smile")
    written = store.feature_names("ab12").label(1, 2)
    assert written
    assert (written.text, written.automatic) == ("a smile", False)
    store.set_label("ab12", "1/2", "")
    assert store.feature_names("ab12").label(1, 2) == label
    assert store.automatic_labels("ab12").has(0, 8)
    store.add_automatic_labels("ab12", FoundLabels(["three@base"], 9, {"0/7": (["sad"], [])}), replace=True)
    assert store.feature_names("ab12").label(1, 2) is None
    assert not store.automatic_labels("ab12").has(0, 8)
    assert store.check() == []
    assert store.rebuild() == 2  # labels and annotations


def test_a_file_of_automatic_labels_that_names_no_token_is_damaged(store: Store) -> None:
    store.add_automatic_labels("ab12", FoundLabels(["one@base"], 100, {"0/7": (["blarf"], [])}))
    path = store.workspace / "labels" / "ab12.json.gz"
    whole = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(whole).replace(b"[[0],[]]", b"[[1],[]]")))
    with pytest.raises(Damaged, match="names a token that is none of its 1"):
        store.automatic_labels("ab12")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Damaged, match="not compressed JSON"):
        store.automatic_labels("ab12")
