"""Where training acted: stored whole, found again, named when damaged, removed with its run."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from engine.domain.acted import Acted, ActedKey, ChangedHead, ChangedMatrix, PlaceEffects, Stretch
from engine.domain.errors import Damaged
from engine.domain.explained import ExplainedLogits
from engine.store import Store
from tests.store.artefacts import add_run

OF = ExplainedLogits(answers=(7,))
KEY = ActedKey(checkpoints=("one@base", "one@50%", "two@100%"), hashes=("a", "b", "c"), prompt="the cat", explained=OF)

_RNG = np.random.default_rng(9)
EFFECTS = PlaceEffects(
    mlp=_RNG.normal(size=(2, 3)).astype(np.float32),
    head=_RNG.normal(size=(2, 4, 3)).astype(np.float32),
    mlp_moved=_RNG.random(size=(2, 3)).astype(np.float32),
    move=_RNG.random(size=(3, 3)).astype(np.float32),
)


def stretch(seed: int) -> Stretch:
    rng = np.random.default_rng(seed)
    return Stretch(
        before=1.5,
        after=2.25,
        probability_before=0.1,
        probability_after=0.3,
        matrices=(ChangedMatrix("model.layers.0.mlp.up_proj", 0), ChangedMatrix("lm_head", 2)),
        by_matrix=rng.normal(size=(2, 3)).astype(np.float32),
        heads=(ChangedHead(1, "value", 0),),
        by_head=rng.normal(size=(1, 3)).astype(np.float32),
        n_points=4,
    )


def acted(key: ActedKey = KEY) -> Acted:
    return Acted(key, ("<bos>", "the", " cat"), (" sat",), True, 2, EFFECTS, (stretch(0), stretch(1)))


def test_it_is_found_by_what_was_asked_and_is_the_same(store: Store) -> None:
    store.save_acted(acted())
    found = store.acted(KEY)
    assert found is not None
    assert (found.key, found.tokens, found.words) == (KEY, ("<bos>", "the", " cat"), (" sat",))
    assert (found.is_said, found.n_layers) == (True, 2)
    assert found.effects is not None
    for name in ("mlp", "head", "mlp_moved", "move"):
        assert np.array_equal(getattr(found.effects, name), getattr(EFFECTS, name))
    for ours, theirs in zip(found.stretches, acted().stretches, strict=True):
        assert np.array_equal(ours.by_matrix, theirs.by_matrix)
        assert np.array_equal(ours.by_head, theirs.by_head)
        assert (ours.matrices, ours.heads, ours.n_points) == (theirs.matrices, theirs.heads, theirs.n_points)
        assert (ours.before, ours.after, ours.probability_after) == (1.5, 2.25, 0.3)
    assert store.acted(KEY.model_copy(update={"explained": ExplainedLogits(answers=(8,))})) is None
    assert store.acted_keys() == [KEY]
    assert store.check() == []


def test_equal_measures_are_equal_files(store: Store) -> None:
    store.save_acted(acted())
    path = store.workspace / "acted" / f"{KEY.hash}.safetensors"
    before = path.read_bytes()
    store.save_acted(acted())
    assert path.read_bytes() == before


@pytest.mark.parametrize("run", ["one", "two"])
def test_a_deleted_run_takes_along_what_speaks_of_it(store: Store, run: str) -> None:
    for name in ("one", "two"):
        add_run(store, name)
    other = KEY.model_copy(update={"checkpoints": ("three@base", "three@100%")})
    store.save_acted(acted())
    store.save_acted(Acted(other, ("a", "b", "c"), ("d",), False, 2, None, (stretch(0),)))
    store.delete_run(run)
    assert store.acted_keys() == [other]


def test_damage_is_named(store: Store) -> None:
    store.save_acted(acted())
    path = store.workspace / "acted" / f"{KEY.hash}.safetensors"
    whole = path.read_bytes()
    for change, says in (
        (lambda: path.write_bytes(whole[:-3]), "complete"),
        (lambda: save_file(load_file(path), path), "metadata"),
        (lambda: _spoil(path, "matrix.0"), "finite"),
        (lambda: _spoil(path, "head"), "finite"),
    ):
        change()
        with pytest.raises(Damaged, match=says):
            store.acted(KEY)
        assert [problem.path for problem in store.check()] != []
        path.write_bytes(whole)
    path.rename(path.with_name("0123456789abcdef0123.safetensors"))
    store.sync()
    assert "not the hash" in " ".join(problem.reason for problem in store.check())


def test_a_number_of_layers_asks_for_no_memory(store: Store) -> None:
    store.save_acted(acted())
    path = store.workspace / "acted" / f"{KEY.hash}.safetensors"
    with safe_open(path, framework="np") as file:
        head = file.metadata()["acted"]
    changed = head.replace('"n_layers":2', f'"n_layers":{2**40}')
    assert changed != head
    save_file(load_file(path), path, metadata={"acted": changed})
    with pytest.raises(Damaged):
        store.acted(KEY)


def _spoil(path: Path, name: str) -> None:
    arrays = load_file(path)
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    arrays[name][0, 0] = np.nan
    save_file(arrays, path, metadata=metadata)


def test_files_of_before_there_were_several_answers_are_found_and_read(store: Store) -> None:
    """Their keys have `answer` alone, in the same JSON and so under the same hash; their head has `answer`, too."""
    text = '{"checkpoints":["one@base","one@50%","two@100%"],"hashes":["a","b","c"],"prompt":"the cat","answer":7}'
    assert KEY.model_dump_json() == text
    assert ActedKey.model_validate_json(text) == KEY
    store.save_acted(acted())
    path = store.workspace / "acted" / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.safetensors"
    with safe_open(path, framework="np") as file:
        head = file.metadata()["acted"]
    old = head.replace('"words":[" sat"]', '"answer":" sat"')
    assert old != head
    save_file(load_file(path), path, metadata={"acted": old})
    found = store.acted(KEY)
    assert found is not None
    assert (found.words, found.answer) == ((" sat",), "sat")
    assert store.acted_keys() == [KEY]


def test_a_contrast_is_another_key_and_comes_back_whole(store: Store) -> None:
    asked = ExplainedLogits(answers=(7, 8), against=(9,))
    key = KEY.model_copy(update={"explained": asked})
    store.save_acted(acted())
    store.save_acted(replace(acted(key), words=(" sat", " ran", " ate")))
    found = store.acted(key)
    assert found is not None
    assert found.key.explained == asked
    assert found.answer == "mean of sat and ran − ate"
    assert {one.hash for one in store.acted_keys()} == {KEY.hash, key.hash}
    assert store.check() == []
    store.save_acted(replace(acted(key), words=(" sat",)))  # fewer words than outputs
    with pytest.raises(Damaged, match="1 words for 3"):
        store.acted(key)
