"""Which examples taught it: stored whole, found again, named when damaged, removed with its run."""

import pytest

from engine.domain.errors import Damaged
from engine.domain.taught import Taught, TaughtKey, TaughtSentence
from engine.store import Store
from tests.store.artefacts import add_run

KEY = TaughtKey(checkpoints=("one@base", "one@50%"), hashes=("a", "b"), corpus_hash="c", prompt="the blarf", answer=7)


def taught(key: TaughtKey = KEY) -> Taught:
    sentences = tuple(
        TaughtSentence(
            id=f"e{row}", text=f"the cat {row}", constraint_type="simple_mapping", constraint="cat", push=push
        )
        for row, push in enumerate((0.5, -2.0, 1 / 3))
    )
    return Taught(key=key, answer=" cat", is_said=True, n_prompts=1, before=-3.5, after=-0.25, sentences=sentences)


def test_it_is_found_by_what_was_asked_and_is_the_same(store: Store) -> None:
    store.save_taught(taught())
    assert store.taught(KEY) == taught()
    assert store.taught(KEY.model_copy(update={"answer": 8})) is None
    assert store.taught_keys() == [KEY]
    assert store.check() == []
    assert [one.push for one in taught().ranked] == [0.5, 1 / 3, -2.0]
    assert (taught().change, taught().strongest) == (3.25, 2.0)


def test_a_deleted_run_takes_along_what_speaks_of_it(store: Store) -> None:
    for name in ("one", "two"):
        add_run(store, name)
    other = KEY.model_copy(update={"checkpoints": ("two@base", "two@100%")})
    for key in (KEY, other):
        store.save_taught(taught(key))
    store.delete_run("one")
    assert store.taught_keys() == [other]


def test_damage_is_named(store: Store) -> None:
    store.save_taught(taught())
    path = store.workspace / "taught" / f"{KEY.hash}.json"
    whole = path.read_text(encoding="utf-8")
    for text, says in ((whole[:-30], "JSON"), (whole.replace('"push"', '"figure"'), "push")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(Damaged, match=says):
            store.taught(KEY)
        assert [problem.path for problem in store.check()] != []
    path.write_text(whole, encoding="utf-8")
    path.rename(path.with_name("0123456789abcdef0123.json"))
    store.sync()
    assert "is stored as" in " ".join(problem.reason for problem in store.check())
