"""Which examples taught it, held to leaving them out and training again."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from engine.domain.corpus import Corpus, Probe
from engine.domain.jobs import CancelToken, FindExamples, Report, Train
from engine.domain.studies import TaughtWord
from engine.domain.taught import Taught
from engine.store import Store

KIND = "paraphrase"  # of the probes that are asked: all methods learn to answer them
LEFT_OUT = 5  # examples at a time; a word of the bundled corpus has as many
LOOKED_AT = 8  # first examples, of which those about the word are counted
MAX_RUN = 48  # of its name, in those of the runs that are made again
DRAWS = 3  # random groups of a run, the same for all of its words


class TrainedAgain:
    """A finished run of the workspace, and the same run without some of its examples. Each is trained once.

    `probes`: the first one of each new word; runs that are made again are asked no other.
    """

    def __init__(self, store: Store, run: str, report: Report, cancel: CancelToken) -> None:
        self._store, self._report, self._cancel = store, report, cancel
        self.run = run
        self.config = store.run(run)
        self.corpus = store.corpus(self.config.corpus)
        firsts: dict[str, Probe] = {}
        for probe in self.corpus.probes:
            if probe.kind == KIND:
                firsts.setdefault(probe.constraint, probe)
        self.probes = tuple(firsts.values())
        self._made: dict[tuple[str, ...], str] = {(): run}

    def without(self, examples: Collection[str], probe: Probe) -> float:
        """The log-probability of the probe's right answer at the end of a run without the examples of these ids."""
        name = self._trained(tuple(sorted(examples)))
        results = self._store.probe_results(name)
        last = results[max(results)]
        return float(np.log(last.p[last.probe_id.index(probe.id)]))

    def taught(self, probe: Probe) -> Taught:
        """All examples of the whole run, those first that taught it the probe's answer."""
        from engine.workflows.taught import find_examples

        last = self._store.checkpoints(self.run)[-1].ref
        request = FindExamples(checkpoint=last, prompt=probe.text, answer=probe.answer)
        done = find_examples(self._store, request, self._report, self._cancel)
        found = self._store.taught(next(key for key in self._store.taught_keys() if key.hash == done))
        assert found is not None  # it was just stored
        return found

    def _trained(self, left_out: tuple[str, ...]) -> str:
        from engine.workflows.training import train

        if left_out not in self._made:
            name = f"{self.run[:MAX_RUN]}-left-out-{len(self._made)}"
            kept = tuple(example for example in self.corpus.examples if example.id not in left_out)
            self._store.save_corpus(Corpus(name, kept, self.probes))
            changes = {"name": name, "corpus": name, "corpus_hash": "", "watch": False}
            train(self._store, Train(config=self.config.model_copy(update=changes)), self._report, self._cancel)
            self._made[left_out] = name
        return self._made[left_out]


def taught_words(store: Store, run: str, report: Report, cancel: CancelToken) -> tuple[TaughtWord, ...]:
    """Of each new word of the run's corpus: its examples ranked, then the first, the last and random ones left out.

    A run is made again with its own settings and seed. Raises InputError (a corpus without such probes), NotFound,
    Damaged, Canceled.
    """
    return tuple(words_of(TrainedAgain(store, run, report, cancel)))


def words_of(own: TrainedAgain) -> Iterator[TaughtWord]:
    ids = [example.id for example in own.corpus.examples]
    rng = np.random.default_rng(own.config.seed)
    drawn: Sequence[list[str]] = [rng.choice(ids, LEFT_OUT, replace=False).tolist() for _ in range(DRAWS)]
    for probe in own.probes:
        ranked = own.taught(probe).ranked
        names = [sentence.id for sentence in ranked]
        yield TaughtWord(
            constraint_type=probe.constraint_type,
            constraint=probe.constraint,
            prompt=probe.text,
            answer=probe.answer,
            whole=own.without((), probe),
            without_first=own.without(names[:LEFT_OUT], probe),
            without_last=own.without(names[-LEFT_OUT:], probe),
            without_random=tuple(own.without(some, probe) for some in drawn),
            n_left_out=LEFT_OUT,
            n_about=sum(sentence.constraint == probe.constraint for sentence in ranked[:LOOKED_AT]),
            n_looked_at=LOOKED_AT,
            n_own=sum(example.constraint == probe.constraint for example in own.corpus.examples),
            n_examples=len(ids),
        )
