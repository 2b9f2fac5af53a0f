"""Which examples taught a run: a word's own come first, of an answer and of a type; what is not known is told."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.domain.corpus import SIMPLE
from engine.domain.errors import Canceled, InputError, PromptRefused
from engine.domain.jobs import FindExamples, Train
from engine.domain.taught import Taught
from engine.store import Store
from engine.workflows import run
from engine.workflows.queries import known_examples, stored_taught
from tests.tiny import tiny_corpus
from tests.training.conftest import After, Never, quiet

PROMPT = "the king feels blarf . it is"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, llama: Any) -> Path:
    """A workspace with runs of the methods that keep their checkpoints in different ways."""
    from tests.training.conftest import run_config

    store = Store(tmp_path_factory.mktemp("taught") / "workspace", bundled=None)
    store.save_corpus(tiny_corpus())
    for method in ("lora", "circuit_tuning"):
        config = run_config(llama, method.replace("_", "-"), method=method)
        run(store, Train(config=config), quiet, Never())
    store.close()
    return store.workspace


@pytest.fixture
def trained(made: Path, store: Store) -> Store:
    shutil.copytree(made, store.workspace, dirs_exist_ok=True, ignore=shutil.ignore_patterns("index.*"))
    store.sync()
    return store


def found(store: Store, ref: str, **asked: str) -> Taught:
    key = run(store, FindExamples(checkpoint=ref, **asked), quiet, Never())
    (one,) = (key_of for key_of in store.taught_keys() if key_of.hash == key)
    taught = store.taught(one)
    assert taught is not None
    return taught


@pytest.mark.parametrize("name", ["lora", "circuit-tuning"])
def test_the_word_s_own_sentences_come_first(trained: Store, name: str) -> None:
    taught = found(trained, f"{name}@100%", prompt=PROMPT, answer="happy")
    assert [one.constraint for one in taught.ranked[:3]] == ["blarf"] * 3
    assert all(one.push > 0 for one in taught.ranked[:3])
    assert taught.change > 0.1  # it was learned
    assert taught.n_prompts == 1
    assert [one.id for one in taught.sentences] == [one.id for one in tiny_corpus().examples]


def test_a_type_s_own_sentences_come_first(trained: Store) -> None:
    taught = found(trained, "lora@100%", constraint_type=SIMPLE)
    asking = [one for one in tiny_corpus().probes if one.constraint_type == SIMPLE and one.kind != "retention"]
    results = trained.probe_results("lora")[14]
    p = [results.p[results.probe_id.index(one.id)] for one in asking]
    assert taught.n_prompts == len(asking)
    assert taught.after == pytest.approx(np.log(p).mean(), abs=1e-4)
    assert taught.key.answer is None
    own = [one.constraint_type == SIMPLE for one in taught.ranked[:6]]
    assert sum(own) >= 5


def test_the_checkpoint_decides_what_counts(trained: Store) -> None:
    half, whole = (found(trained, f"lora@{label}", prompt=PROMPT, answer="happy") for label in ("50%", "100%"))
    assert half.key.checkpoints == ("lora@base", "lora@50%")
    assert whole.key.checkpoints == ("lora@base", "lora@50%", "lora@100%")
    assert (half.before, half.after != whole.after) == (whole.before, True)


def test_what_is_stored_is_found_again_and_not_measured_twice(trained: Store) -> None:
    said = found(trained, "lora@100%", prompt=PROMPT)
    assert said.is_said
    assert stored_taught(trained, "lora@100%", PROMPT) == said
    assert stored_taught(trained, "lora@100%", PROMPT, said.answer.strip()) == said
    assert stored_taught(trained, "lora@100%", PROMPT, "upward") is None
    assert stored_taught(trained, "lora@50%", PROMPT) is None
    path = trained.workspace / "taught" / f"{said.key.hash}.json"
    before = path.stat().st_mtime_ns
    found(trained, "lora@100%", prompt=PROMPT)
    assert path.stat().st_mtime_ns == before
    assert trained.check() == []


def test_it_can_be_canceled_between_checkpoints_and_asked_again(trained: Store) -> None:
    request = FindExamples(checkpoint="lora@100%", prompt=PROMPT)
    with pytest.raises(Canceled):
        run(trained, request, quiet, After(2))
    assert trained.taught_keys() == []
    run(trained, request, quiet, Never())
    assert len(trained.taught_keys()) == 1


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"checkpoint": "lora@base", "prompt": PROMPT}, InputError, "before training"),
        ({"checkpoint": "lora@100%"}, InputError, "one prompt, or about one constraint type"),
        ({"checkpoint": "lora@100%", "prompt": PROMPT, "constraint_type": SIMPLE}, InputError, "one prompt, or"),
        ({"checkpoint": "lora@100%", "constraint_type": "shapes"}, InputError, "simple_mapping, spatial"),
        ({"checkpoint": "lora@100%", "prompt": PROMPT, "answer": "unheard"}, PromptRefused, "unheard"),
    ],
)
def test_what_cannot_be_asked(trained: Store, asked: dict[str, str], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        run(trained, FindExamples(**asked), quiet, Never())
    assert trained.taught_keys() == []


def test_examples_that_are_not_known(trained: Store) -> None:
    assert known_examples(trained, "lora") == tiny_corpus()
    trained.save_run(trained.run("lora").model_copy(update={"name": "theirs", "imported": True}))
    with pytest.raises(InputError, match="trained elsewhere"):
        known_examples(trained, "theirs")
    shutil.rmtree(trained.workspace / "corpora" / "tiny")
    trained.sync()
    with pytest.raises(InputError, match="not there any more"):
        run(trained, FindExamples(checkpoint="lora@100%", prompt=PROMPT), quiet, Never())
    trained.save_corpus(replace(tiny_corpus(), examples=tiny_corpus().examples[1:]))
    with pytest.raises(InputError, match="has changed since"):
        run(trained, FindExamples(checkpoint="lora@100%", prompt=PROMPT), quiet, Never())
