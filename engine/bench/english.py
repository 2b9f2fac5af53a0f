"""SmolLM2-135M taught words of plain English: what is named of where training acted, held to patching.

Of each word's first paraphrase: the two tokens and their layers that the sentence names, put back together; the same
layers at two other tokens, as control. A run of STEPS steps is made first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.analysis.acted import NamedPlace, move_table, named_places
from engine.corpus.english import english
from engine.domain.acted import Acted
from engine.domain.corpus import Probe
from engine.domain.jobs import NeverCancelled, Train, Where, quiet
from engine.domain.models import ModelSpec
from engine.domain.runs import RunConfig
from engine.store import Store

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

RUN, STEPS, BATCH, RATE = "english", 60, 5, 1e-3
# Nothing here was chosen by what training made of these.
HELD_OUT = ("grell", "tolm", "florp", "nidge")
Places = list[tuple[int, int]]  # layer, position


def first_paraphrases(words: Sequence[str] = ()) -> dict[str, Probe]:
    """By new word, of all words where none is named."""
    probes = [probe for probe in english().probes if probe.kind == "paraphrase"]
    found = {probe.constraint: probe for probe in reversed(probes)}
    return {word: found[word] for word in (words or tuple(reversed(found)))}


def taught(store: Store, folder: Path, probes: Sequence[Probe]) -> str:
    """Train on the whole corpus, with these probes alone; the name of the run."""
    from engine.workflows.training import train

    corpus = replace(english(), name="english-taught", probes=tuple(probes))
    store.save_corpus(corpus)
    spec = ModelSpec(name="smollm2", source="folder", location=str(folder))
    config = RunConfig(
        name=RUN, model=spec, corpus=corpus.name, n_steps=STEPS, batch_size=BATCH, learning_rate=RATE, capture=(1.0,)
    )
    train(store, Train(config=config), quiet, NeverCancelled())
    return config.name


@dataclass(frozen=True, eq=False)
class Held:
    """One probe of a trained run."""

    acted: Acted
    word: tuple[int, ...]  # positions of the new word's pieces
    taken_back: float  # by the named places, as a share of the logit's change
    controls: tuple[float, ...]  # by the same layers at two other tokens, one entry a pair

    @property
    def leaders(self) -> tuple[int, ...]:
        """The two tokens of the largest parts."""
        parts = abs(self.acted.places().sum(0))
        return tuple(sorted(parts.argsort()[-2:].tolist()))

    @property
    def rank_of_move(self) -> int:
        """Of that from the word's last piece to the last token, among all between two tokens; 1 is the largest."""
        table = move_table(self.acted)
        here = (table["source"] == self.word[-1]) & (table["target"] == len(self.acted.tokens) - 1)
        return int(here.to_numpy().argmax()) + 1


def held(store: Store, run: str, probe: Probe) -> Held:
    """Where training acted on the probe's answer, and what patching says of it."""
    from engine.attribution.places import taken_back
    from engine.models.base import encode
    from engine.workflows.loading import common_model, weights
    from engine.workflows.queries import stored_acted
    from engine.workflows.where import where

    a, b = (store.checkpoint(f"{run}@{label}") for label in ("base", "100%"))
    where(store, Where(a=a.ref, b=b.ref, prompt=probe.text, answer=probe.answer), quiet, NeverCancelled())
    acted = stored_acted(store, a.ref, b.ref, probe.text, probe.answer)
    assert acted is not None
    loaded = common_model(store, [a])
    tuned = weights(loaded, b)
    assert tuned is not None
    prompt, word = encode(loaded, probe.text)[0], pieces(loaded, probe)
    named = named_places(acted)
    groups = [patched(one, loaded.n_layers) for one in (named, *controls(named, word, len(prompt)))]
    back = taken_back(loaded.model, tuned, prompt, acted.key.answer, groups)
    whole, *others = [one / acted.change for one in back]
    return Held(acted, word, whole, tuple(others))


def pieces(loaded: "LoadedModel", probe: Probe) -> tuple[int, ...]:
    """Positions of the new word's tokens in the probe's prompt, where it stands once."""
    start = probe.text.index(probe.constraint)
    offsets = loaded.tokenizer(probe.text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    end = start + len(probe.constraint)
    return tuple(row + 1 for row, (low, high) in enumerate(offsets) if low < end and high > start)  # BOS first


def patched(named: Sequence[NamedPlace], n_layers: int) -> Places:
    """The MLPs of the named layers at the named tokens."""
    return [
        (layer, one.position)
        for one in named
        for layer in range(n_layers)
        if one.first <= layer <= one.last  # embeddings and the output have none
    ]


def controls(named: Sequence[NamedPlace], word: tuple[int, ...], n_pos: int) -> Iterator[list[NamedPlace]]:
    """The same layers at tokens that are neither named, nor the word's, nor BOS: each with the third one on."""
    others = [at for at in range(1, n_pos) if at not in {*word, *(one.position for one in named)}]
    for number in range(len(others)):
        at = [others[(number + 3 * turn) % len(others)] for turn in range(len(named))]
        yield [replace(one, position=position) for one, position in zip(named, at, strict=True)]
