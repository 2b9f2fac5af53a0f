"""The checkpoints between A and B that a measure goes over; many prompts, one by one."""

import gc
import weakref
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.analysis.acted_mean import acted_mean, mean_table
from engine.domain.errors import Canceled, InputError, PromptRefused
from engine.domain.jobs import AskedPrompt, NeverCanceled, Where, WhereProbes, quiet
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.courses import MOST_STRETCHES, path_between
from engine.workflows.loading import weights
from engine.workflows.prompt_groups import group_acted, group_prompts, probe_group
from engine.workflows.queries import stored_acted
from engine.workflows.where import _Course, where, where_probes
from tests.analysis.micro_graphs import probe
from tests.store.test_store_acted import KEY, acted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel

PROMPT = "the cat feels blarf and"
A, B = "demo-lora@base", "demo-lora@100%"


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [
        ("demo-lora@base", "demo-lora@100%", [0, 75, 150, 225, 300]),
        ("demo-lora@100%", "demo-lora@base", [300, 225, 150, 75, 0]),
        ("demo-lora@50%", "demo-lora@50%", [150, 150]),
        ("demo-lora@100%", "demo-tokens@100%", [300, 300]),
    ],
)
def test_a_path_is_short_and_even(demo_store: Store, a: str, b: str, steps: list[int]) -> None:
    path = path_between(demo_store, demo_store.checkpoint(a), demo_store.checkpoint(b))
    assert [one.step for one in path] == steps
    assert len(path) <= MOST_STRETCHES + 1


def test_a_short_part_of_a_run_goes_over_what_is_there(demo_store: Store) -> None:
    checkpoints = demo_store.checkpoints("demo-lora")
    path = path_between(demo_store, checkpoints[1], checkpoints[3])
    assert [one.step for one in path] == [one.step for one in checkpoints[1:4]]


def test_too_long_a_prompt_is_refused_before_the_long_work(demo_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though what is done with it first would fit."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("begun")

    monkeypatch.setattr("engine.attribution.acted.free_memory", lambda device, wanted=0: 1000)
    monkeypatch.setattr("engine.attribution.places.place_effects", refuse)
    monkeypatch.setattr("engine.attribution.acted.said", refuse)
    for answers in ((), ("cries",)):
        with pytest.raises(PromptRefused, match="5 tokens: finding where training acted takes about"):
            where(demo_store, Where(a=A, b=B, prompt=PROMPT, answers=answers), quiet, NeverCanceled())


def test_where_memory_is_short_two_models_are_held_and_no_more(
    demo_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of full fine-tunes each is as large as the base. What is measured is the same."""
    request = Where(a="demo-tokens@base", b="demo-tokens@100%", prompt=PROMPT, answers=("cries",))
    made: list[weakref.ref[PreTrainedModel]] = []
    most = 0

    def counted(loaded: "LoadedModel", checkpoint: Checkpoint) -> "PreTrainedModel | None":
        nonlocal most
        gc.collect()
        model = weights(loaded, checkpoint)
        if model is not None:
            made.append(weakref.ref(model))
        most = max(most, sum(one() is not None for one in made))
        return model

    monkeypatch.setattr("engine.workflows.where.weights", counted)
    found = []
    for free, n_held in ((10**12, MOST_STRETCHES), (0, 2)):  # the base is nobody's copy
        made, most = [], 0
        monkeypatch.setattr("engine.models.memory.free_memory", lambda device, wanted=0, free=free: free)
        course = _Course(demo_store, request.a, request.b)
        found.append(course.measured(course.key(PROMPT, request.answers), quiet))
        assert most == n_held
    for one, other in zip(*(each.stretches for each in found), strict=True):
        assert np.array_equal(one.by_matrix, other.by_matrix)


def test_the_demo_runs_add_up_and_are_kept(demo_store: Store) -> None:
    """Both methods, and from one run to the other; what B says where no answer is given."""
    asked = [(A, B, ()), (A, B, ("cries",)), ("demo-tokens@base", "demo-tokens@100%", ()), (B, "demo-tokens@100%", ())]
    known = len(demo_store.acted_keys()) + 2  # the first and the last come with the demo
    for a, b, answers in asked:
        where(demo_store, Where(a=a, b=b, prompt=PROMPT, answers=answers), quiet, NeverCanceled())
        found = stored_acted(demo_store, a, b, PROMPT, answers)
        assert found is not None
        assert abs(found.left) <= 0.01 * sum(abs(one.after - one.before) for one in found.stretches) + 0.008
        assert found.is_said == (answers == ())
        if answers:
            assert found.answer == answers[0]
    assert len(demo_store.acted_keys()) == known
    where(demo_store, Where(a=A, b=B, prompt=PROMPT), quiet, NeverCanceled())  # stored already
    assert len(demo_store.acted_keys()) == known
    only_new_tokens = stored_acted(demo_store, "demo-tokens@base", "demo-tokens@100%", PROMPT)
    assert only_new_tokens is not None
    places = only_new_tokens.places()
    blarf = [token.strip() for token in only_new_tokens.tokens].index("blarf")
    assert places[0, blarf] == pytest.approx(only_new_tokens.sum)  # all of it stands in that token's embedding


def test_a_contrast_is_the_difference_of_its_sides(demo_store: Store) -> None:
    a, b = "demo-tokens@base", "demo-tokens@step10"  # one stretch
    found = []
    for answers, against in ((("smiles",), ()), (("cries",), ()), (("smiles",), ("cries",))):
        request = Where(a=a, b=b, prompt=PROMPT, answers=answers, against=against)
        where(demo_store, request, quiet, NeverCanceled())
        one = stored_acted(demo_store, a, b, PROMPT, answers, against)
        assert one is not None
        found.append(one)
    smiles, cries, both = found
    assert both.answer == "smiles − cries"
    assert both.before == pytest.approx(smiles.before - cries.before, abs=1e-5)
    assert both.after == pytest.approx(smiles.after - cries.after, abs=1e-5)
    assert stored_acted(demo_store, a, b, PROMPT, ("smiles",)) is not None
    assert stored_acted(demo_store, a, b, PROMPT, (), ("cries",)) is None  # what B says, against cries: not asked yet


def test_an_output_cannot_be_for_and_against(demo_store: Store) -> None:
    with pytest.raises(InputError, match="named twice"):
        where(demo_store, Where(a=A, b=B, prompt=PROMPT, answers=("ends",), against=("ends",)), quiet, NeverCanceled())


def test_journals_of_before_there_were_several_answers_can_be_read() -> None:
    old = '{"action":"where","a":"x@base","b":"x@25%%","prompt":"the cat","answer":"%s"}'
    assert Where.model_validate_json(old % "smiles").answers == ("smiles",)
    assert Where.model_validate_json(old % "").answers == ()


def test_progress_is_told_within_one_prompt(demo_store: Store) -> None:
    told: list[tuple[float, str]] = []
    request = Where(a=A, b=B, prompt=PROMPT, answers=("cries",))
    where(demo_store, request, lambda *one: told.append(one), NeverCanceled())
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert len({round(fraction, 2) for fraction in fractions}) > 50
    assert max(after - before for before, after in pairwise(fractions)) < 0.1
    messages = list(dict.fromkeys(message for _, message in told))
    assert messages[2:4] == ["which heads and MLPs matter", "base to 25%"]
    assert messages[-2:] == ["75% to 100%", "Measured"]


class AfterReports:
    """Canceled as the report is made for the `n`-th time."""

    def __init__(self, n: int) -> None:
        self._left = n

    def check(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Canceled


@pytest.mark.parametrize("n", [0, 3, 20, 100])  # in the pass that asks B, that of places, and among those of a stretch
def test_a_job_is_canceled_within_a_pass(demo_store: Store, n: int) -> None:
    known = len(demo_store.acted_keys())
    told: list[float] = []
    with pytest.raises(Canceled):
        where(demo_store, Where(a=A, b=B, prompt="the cat feels blarf so it"),
              lambda fraction, _: told.append(fraction), AfterReports(n))  # fmt: skip
    assert len(told) <= n + 2
    assert len(demo_store.acted_keys()) == known


class OnceStored:
    """Canceled as soon as something more is stored."""

    def __init__(self, store: Store) -> None:
        self._store, self._before = store, len(store.acted_keys())

    def check(self) -> None:
        if len(self._store.acted_keys()) > self._before:
            raise Canceled


def test_probes_are_measured_one_by_one_and_go_on_where_they_were_left(demo_store: Store) -> None:
    """What is stored, by whichever command, is not measured again; what is damaged is."""
    a, b = "demo-tokens@base", "demo-tokens@step10"
    bundled = len(demo_store.acted_keys())
    group = probe_group(demo_store, a, b, "simple_mapping", "paraphrase")
    probes = group_prompts(group, 3)
    assert group_acted(demo_store, a, b, probes) == ([], list(probes))
    asked = tuple(AskedPrompt(prompt=probe.text, answer=probe.answer) for probe in probes)
    request = WhereProbes(a=a, b=b, asked=(*asked, AskedPrompt(prompt=PROMPT, answer="smilesandcries")))
    with pytest.raises(Canceled):
        where_probes(demo_store, request, quiet, OnceStored(demo_store))
    ready, missing = group_acted(demo_store, a, b, probes)
    assert [probe for probe, _ in ready] == [probes[0]]
    assert missing == [*probes[1:]]
    where_probes(demo_store, request, quiet, NeverCanceled())  # the last is left out: no model knows its answer
    ready, missing = group_acted(demo_store, a, b, probes)
    assert [probe for probe, _ in ready] == list(probes)
    assert missing == []
    files = {one.key.hash: demo_store.workspace / "acted" / f"{one.key.hash}.safetensors" for _, one in ready}
    stamps = {name: path.stat().st_mtime_ns for name, path in files.items()}
    first, *rest = files
    files[first].write_bytes(b"")
    assert group_acted(demo_store, a, b, probes)[1] == [probes[0]]
    where_probes(demo_store, request, quiet, NeverCanceled())
    assert all(files[name].stat().st_mtime_ns == stamps[name] for name in rest)
    where(demo_store, Where(a=a, b=b, prompt=probes[0].text, answers=(probes[0].answer,)), quiet, NeverCanceled())
    assert len(demo_store.acted_keys()) - bundled == len(probes)
    mean = acted_mean(group_acted(demo_store, a, b, probes)[0])
    assert mean.sum.mean() == pytest.approx(mean.change.mean(), rel=0.02)
    only_words = mean_table(mean, "layer", "role")
    assert (only_words["layer"].tolist(), only_words["role"].tolist()) == ([-1], ["new word"])


def test_where_no_prompt_can_be_asked_it_says_why(demo_store: Store) -> None:
    request = WhereProbes(a=A, b=B, asked=(AskedPrompt(prompt=PROMPT, answer="smilesandcries"),))
    with pytest.raises(InputError, match="None of the 1"):
        where_probes(demo_store, request, quiet, NeverCanceled())


def test_what_was_measured_before_a_run_was_made_again_is_missing(store: Store) -> None:
    asked = probe("the cat", answer="sat")
    for hashes in (("a", "b", "c"), ("a", "b", "new")):
        key = KEY.model_copy(update={"hashes": hashes, "prompt": "the dog" if "new" in hashes else "the cat"})
        store.save_acted(acted(key))
    other = probe("the dog", answer="sat")
    ready, missing = group_acted(store, KEY.checkpoints[0], KEY.checkpoints[-1], [asked, other])
    assert [one.text for one, _ in ready] == ["the dog"]
    assert missing == [asked]
    assert group_acted(store, KEY.checkpoints[0], KEY.checkpoints[-1], [asked])[1] == []  # of one state
    longer = other.model_copy(update={"answer": "sat down"})
    assert group_acted(store, KEY.checkpoints[0], KEY.checkpoints[-1], [longer])[1] == []  # of its first token
