"""Probe scores against a plain, slow computation."""

import copy
import math

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from engine.domain.errors import InputError
from engine.domain.models import ModelSpec
from engine.models.base import LoadedModel, load_base
from engine.training import probe_batches
from engine.training.probe_batches import first_tokens, prepare_probes
from engine.training.probing import evaluating, measure, run_probes
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
    monkeypatch.setattr(probe_batches, "BATCH_TOKENS", 12)
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
        ({"answer": "happy flurb"}, "“flurb”"),
        ({"answer": " ".join(["happy"] * 62)}, "and its answer have 66 tokens; this model takes at most 64"),
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
    (long,) = prepare_probes(tokenizer, (probe.model_copy(update={"answer": "crying", "foils": ()}),), limit=64).longer
    assert tokenizer.convert_ids_to_tokens(long.following[0].tolist()) == ["Ġcry", "ing"]
    assert tokenizer.convert_ids_to_tokens(long.tokens[0].tolist()) == ["<bos>", "the", "Ġking", "Ġcry"]


def test_outputs_that_are_not_finite_are_refused(loaded: LoadedModel) -> None:
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="no longer finite"):
        measure(model, prepare_probes(loaded.tokenizer, PROBES, limit=64))


LONG = [
    PROBES[0].model_copy(update={"id": "long", "answer": "happy and sad", "foils": ("sad", "sad and happy .")}),
    PROBES[1],
    PROBES[2].model_copy(update={"id": "foil", "foils": ("cries and", "cries")}),
    PROBES[5].model_copy(update={"id": "bare", "answer": "the king", "foils": ()}),
]


def token_by_token(loaded: LoadedModel, prompt: str, answer: str) -> list[torch.Tensor]:
    """The logits at each token of the answer, from a pass of its own."""
    prompt_ids = loaded.tokenizer(f"<bos> {prompt}", add_special_tokens=False).input_ids
    ids = loaded.tokenizer(answer, add_special_tokens=False).input_ids
    with torch.no_grad():
        return [loaded.model(torch.tensor([prompt_ids + ids[:n]])).logits[0, -1] for n in range(len(ids))]


def log_p(loaded: LoadedModel, prompt: str, answer: str) -> float:
    ids = loaded.tokenizer(answer, add_special_tokens=False).input_ids
    logits = token_by_token(loaded, prompt, answer)
    return sum(float(at.log_softmax(0)[token]) for at, token in zip(logits, ids, strict=True))


def test_answers_of_several_tokens_are_scored_token_by_token(loaded: LoadedModel) -> None:
    results = run_probes(loaded.model, loaded.tokenizer, LONG)
    assert results.probe_id == tuple(probe.id for probe in LONG)
    for row, probe in enumerate(LONG):
        ids = loaded.tokenizer(probe.answer, add_special_tokens=False).input_ids
        logits = token_by_token(loaded, probe.text, probe.answer)
        own = log_p(loaded, probe.text, probe.answer)
        assert results.p[row] == pytest.approx(math.exp(own), rel=1e-4)
        ranks = [int((at > at[token]).sum()) + 1 for at, token in zip(logits, ids, strict=True)]
        assert results.rank[row] == max(ranks)
        assert results.correct[row] == (max(ranks) == 1)
        others = [log_p(loaded, probe.text, foil) for foil in probe.foils]
        leads = [
            float(at[token] - at[torch.arange(len(at)) != token].max()) for at, token in zip(logits, ids, strict=True)
        ]
        assert results.logit_diff[row] == pytest.approx(own - max(others) if others else min(leads), abs=1e-4)
        n_right = next((n for n, rank in enumerate(ranks) if rank > 1), len(ranks) - 1)
        written = [int(at.argmax()) for at in logits[: n_right + 1]]
        assert results.predicted[row] == loaded.tokenizer.decode(written)


def test_what_the_model_writes_is_a_right_answer(loaded: LoadedModel) -> None:
    ids = loaded.tokenizer(f"<bos> {PROBES[0].text}", return_tensors="pt", add_special_tokens=False).input_ids
    length = ids.shape[1]
    for _ in range(3):
        with torch.no_grad():
            ids = torch.cat([ids, loaded.model(ids).logits[:, -1:].argmax(-1)], dim=1)
    written = loaded.tokenizer.decode(ids[0, length:])
    probe = PROBES[0].model_copy(update={"answer": written, "foils": ()})
    results = run_probes(loaded.model, loaded.tokenizer, (probe,))
    assert (results.correct, results.rank, results.predicted) == ((True,), (1,), (written,))
    assert results.logit_diff[0] > 0


def test_long_answers_leave_the_others_as_they_are(loaded: LoadedModel) -> None:
    alone = run_probes(loaded.model, loaded.tokenizer, PROBES)
    mixed = run_probes(loaded.model, loaded.tokenizer, [LONG[0], *PROBES, LONG[3]])
    for column in ("predicted", "p", "rank", "logit_diff", "correct"):
        assert getattr(mixed, column)[1:-1] == getattr(alone, column)


def test_the_first_tokens_of_answers(loaded: LoadedModel) -> None:
    groups = first_tokens(loaded.tokenizer, LONG, limit=64)
    read = {
        loaded.tokenizer.decode(row[1:]): int(token)
        for rows, tokens in groups
        for row, token in zip(rows, tokens, strict=True)
    }
    words = {probe.text: loaded.tokenizer.convert_tokens_to_ids(probe.answer.split()[0]) for probe in LONG}
    assert read == words
