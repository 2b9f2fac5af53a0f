"""Probe scores against a plain, slow computation."""

import copy

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from engine.domain.errors import InputError
from engine.domain.models import ModelSpec
from engine.models.base import LoadedModel, load_base
from engine.training import probing
from engine.training.probing import evaluating, measure, prepare_probes, run_probes
from tests.tiny import SPECIAL, tiny_corpus

PROBES = tiny_corpus().probes


@pytest.fixture(scope="module")
def loaded(llama: ModelSpec) -> LoadedModel:
    return load_base(llama)


def slow(loaded: LoadedModel, row: int, *, known: bool) -> tuple[str, float, int, float, bool]:
    probe, tokenizer = PROBES[row], loaded.tokenizer
    text = probe.known_text if known else probe.text
    ids = tokenizer(f"<bos> {text}", return_tensors="pt", add_special_tokens=False).input_ids
    with torch.no_grad():
        logits = loaded.model(ids).logits[0, -1]
    right = logits[tokenizer.convert_tokens_to_ids(probe.answer)]
    foil = max(logits[tokenizer.convert_tokens_to_ids(f)] for f in probe.foils)
    top = tokenizer.convert_ids_to_tokens(int(logits.argmax()))
    order = logits.sort(descending=True).values.tolist()
    p = float((right - logits.logsumexp(0)).exp())
    return top, p, order.index(float(right)) + 1, float(right - foil), top == probe.answer


@pytest.mark.parametrize("known", [False, True])
def test_scores_are_those_of_one_prompt_at_a_time(loaded: LoadedModel, known: bool) -> None:
    results = run_probes(loaded.model, loaded.tokenizer, PROBES, use_known=known)
    assert results.probe_id == tuple(probe.id for probe in PROBES)
    for row in range(len(PROBES)):
        top, p, rank, diff, correct = slow(loaded, row, known=known)
        assert (results.predicted[row], results.rank[row], results.correct[row]) == (top, rank, correct)
        assert results.p[row] == pytest.approx(p, rel=1e-4)
        assert results.logit_diff[row] == pytest.approx(diff, abs=1e-4)


def test_small_batches_give_the_same(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_probes(loaded.model, loaded.tokenizer, PROBES)
    monkeypatch.setattr(probing, "BATCH_TOKENS", 12)
    small = run_probes(loaded.model, loaded.tokenizer, PROBES)
    assert small.rank == whole.rank
    assert small.p == pytest.approx(whole.p, rel=1e-4)


def test_without_foils_the_rival_is_the_best_other_token(loaded: LoadedModel) -> None:
    bare = [probe.model_copy(update={"foils": ()}) for probe in PROBES]
    results = run_probes(loaded.model, loaded.tokenizer, bare)
    for diff, correct in zip(results.logit_diff, results.correct, strict=True):
        assert (diff > 0) == correct


def test_no_probes_give_no_results(loaded: LoadedModel) -> None:
    assert run_probes(loaded.model, loaded.tokenizer, ()).probe_id == ()


def test_modes_and_random_numbers_are_left_alone(loaded: LoadedModel) -> None:
    model = copy.deepcopy(loaded.model).train()
    model.model.layers[0].eval()  # a mixed state must come back as it was
    modes = [module.training for module in model.modules()]
    before = torch.get_rng_state()
    run_probes(model, loaded.tokenizer, PROBES)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RuntimeError, match="inside"), evaluating(model):
        raise RuntimeError("inside")
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"text": "the flurb cat is"}, "“flurb”"),
        ({"answer": "flurb"}, "“flurb”"),
        ({"foils": ("happy", "flurb")}, "“flurb”"),
        ({"answer": "happy smiles"}, "2 tokens"),
        ({"text": "the " * 100}, "at most"),
    ],
)
def test_a_bad_probe_is_named(loaded: LoadedModel, change: dict[str, object], named: str) -> None:
    probe = PROBES[0].model_copy(update={"id": "odd-7", **change})
    with pytest.raises(InputError, match="odd-7") as caught:
        run_probes(loaded.model, loaded.tokenizer, (probe,))
    assert named in str(caught.value)


def space_tokenizer() -> PreTrainedTokenizerFast:
    """Like Qwen's: a word inside a sentence is another token than at its start."""
    words = ["the", "Ġking", "Ġsmiles", "smiles", "Ġcry", "ing"]
    tokens = [*SPECIAL.values(), "Ġ", *"abcdefghijklmnopqrstuvwxyz.", *words]
    pieces = Tokenizer(
        models.WordPiece(
            {t: i for i, t in enumerate(tokens)}, unk_token=SPECIAL["unk_token"], continuing_subword_prefix=""
        )
    )
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=pieces, **SPECIAL)


def test_the_answer_is_the_token_that_goes_on_after_a_space() -> None:
    tokenizer = space_tokenizer()
    probe = PROBES[0].model_copy(update={"text": "the king", "answer": "smiles", "foils": ("king",)})
    batch = prepare_probes(tokenizer, (probe,), limit=64)
    assert tokenizer.convert_ids_to_tokens(batch.answers.tolist()) == ["Ġsmiles"]
    assert tokenizer.convert_ids_to_tokens(list(batch.foils[0])) == ["Ġking"]
    with pytest.raises(InputError, match=r"“p-1”.*“crying” is 2 tokens"):
        prepare_probes(tokenizer, (probe.model_copy(update={"id": "p-1", "answer": "crying"}),), limit=64)


def test_outputs_that_are_not_finite_are_refused(loaded: LoadedModel) -> None:
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="no longer finite"):
        measure(model, prepare_probes(loaded.tokenizer, PROBES, limit=64))
