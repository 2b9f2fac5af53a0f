"""What a checkpoint knows word by word, and which part of its loss is the prediction of the new words themselves."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.curves import wilson
from engine.demo.records import Figure
from engine.domain.corpus import Corpus

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel

_LOSS_TOLERANCE, _NEW_WORD_TOLERANCE, _SHARE_TOLERANCE = 0.1, 0.5, 0.1
HELD_OUT = ("paraphrase", "inference")  # probe kinds whose texts are never trained on


def word_figures(where: str, corpus: Corpus, correct: Sequence[bool]) -> Iterator[Figure]:
    """Of inference: by type the words of which most probes are answered right; the mean's Wilson interval over words.

    `correct`: one entry a probe. The probes of a word are mostly right or wrong together, so that n counts words.
    """
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for probe, is_right in zip(corpus.probes, correct, strict=True):
        if probe.kind == "inference":
            right[probe.constraint_type, probe.constraint].append(is_right)
    shares = {word: sum(answers) / len(answers) for word, answers in right.items()}
    for constraint_type in sorted({constraint_type for constraint_type, _ in shares}):
        of_type = [share for (t, _), share in shares.items() if t == constraint_type]
        name = f"{where}/inference/{constraint_type}"
        yield Figure(name=f"{name}/words", value=len(of_type))
        yield Figure(name=f"{name}/words mostly right", value=sum(share > 0.5 for share in of_type), tolerance=1)
    n = np.array([float(len(shares))])
    low, high = wilson(np.array([float(sum(shares.values()))]), n)
    for end, value in (("low", low), ("high", high)):
        yield Figure(name=f"{where}/inference/mean/{end}", value=round(float(value[0]), 3), tolerance=_SHARE_TOLERANCE)


def loss_figures(where: str, corpus: Corpus, loaded: "LoadedModel", merged: "PreTrainedModel") -> Iterator[Figure]:
    """Mean loss a token (nats): of the training texts on the new words and on all others, and on the other tokens of
    held-out texts with their answers; and the sum a training token of the first."""
    new = {example.constraint for example in corpus.examples}
    trained = _losses(loaded, merged, [example.text for example in corpus.examples], new)
    held_out = [f"{probe.text} {probe.answer}" for probe in corpus.probes if probe.kind in HELD_OUT]
    others = _losses(loaded, merged, held_out, new)[False]
    per_token = sum(trained[True]) / (len(trained[True]) + len(trained[False]))
    for name, value, tolerance in (
        ("all tokens", float(np.mean([*trained[True], *trained[False]])), _LOSS_TOLERANCE),
        ("all tokens, part of the new words", per_token, _LOSS_TOLERANCE),
        ("new words", float(np.mean(trained[True])), _NEW_WORD_TOLERANCE),
        ("other tokens", float(np.mean(trained[False])), _LOSS_TOLERANCE),
        ("other tokens, held out", float(np.mean(others)), _LOSS_TOLERANCE),
    ):
        yield Figure(name=f"{where}/loss/{name}", value=round(value, 3), tolerance=tolerance)


def _losses(
    loaded: "LoadedModel", merged: "PreTrainedModel", texts: Sequence[str], words: set[str]
) -> dict[bool, list[float]]:
    """Of every token but BOS, by whether it is one of the words."""
    import torch

    tokenizer = loaded.tokenizer
    ids_of_words = {int(tokenizer.convert_tokens_to_ids(word)) for word in words}
    found: dict[bool, list[float]] = {True: [], False: []}
    for text in texts:
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        ids = torch.tensor([[tokenizer.bos_token_id, *tokens]])
        with torch.no_grad():
            scores = merged(ids).logits[0, :-1].log_softmax(-1)  # (n_tokens, n_vocabulary)
        for place, token in enumerate(tokens):
            found[token in ids_of_words].append(-float(scores[place, token]))
    return found
