"""Which examples taught it, held to leaving them out and training again.

Short runs with the settings of the bundled ones. Of a prompt of each of some words: how many of the first examples are
about its word, and what the answer's log-probability loses when the first ones are left out and the run is made again
with the same seed, beside the last ones and random ones; and the stronger two of the word's own beside the weaker two.
"""

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from engine.bench.row import BenchRow, plain
from engine.bench.setting import CORPUS, Setting
from engine.demo import recipe
from engine.domain.corpus import Corpus, Probe
from engine.domain.jobs import FindExamples, NeverCancelled, Train, quiet
from engine.domain.runs import RunConfig
from engine.domain.taught import Taught

RUNS = (recipe.RUN_A, recipe.RUN_B)
KIND = "paraphrase"  # both runs learn to answer it
WORDS = 3
STEPS, CAPTURE_EVERY = 100, 10
LEFT_OUT, OF_OWN, RANDOM_DRAWS = 5, 2, 3  # of 50 examples, five a word
FIRST = 8


def measure(setting: Setting) -> list[BenchRow]:
    """Means over the prompts, of each run; losses of the answer's log-probability, in nats."""
    return [row for run in RUNS for row in _of_run(setting, run)]


def _of_run(setting: Setting, run: str) -> list[BenchRow]:
    own = _Shortened(setting, run)
    every = own.trained(())
    found: dict[str, list[float]] = defaultdict(list)
    rng = np.random.default_rng(0)
    ids = [example.id for example in own.corpus.examples]
    drawn = [own.trained(rng.choice(ids, LEFT_OUT, replace=False).tolist()) for _ in range(RANDOM_DRAWS)]
    for probe in own.probes:
        ranked = own.taught(every, probe)
        names = [sentence.id for sentence in ranked.ranked]
        of_word = [sentence.id for sentence in ranked.ranked if sentence.constraint == probe.constraint]
        found["about the word"].append(len(set(names[:FIRST]) & set(of_word)))
        groups = {
            f"first {LEFT_OUT}": names[:LEFT_OUT],
            f"last {LEFT_OUT}": names[-LEFT_OUT:],
            f"stronger {OF_OWN} of the word's own": of_word[:OF_OWN],
            f"weaker {OF_OWN} of the word's own": of_word[-OF_OWN:],
        }
        whole = own.answered(every, probe)
        for name, left_out in groups.items():
            found[name].append(whole - own.answered(own.trained(left_out), probe))
        found[f"random {LEFT_OUT}, mean of {RANDOM_DRAWS} draws"] += [
            float(np.mean([whole - own.answered(name, probe) for name in drawn]))
        ]
    title = f"{run}'s settings, {STEPS} steps, {len(own.probes)} prompts"
    about = found.pop("about the word")
    rows = [
        plain(f"{title}: of the first {FIRST} examples, about the word (it has 5)", float(np.mean(about)), "examples")
    ]
    return rows + [plain(f"{title}, without {name}: loss", float(np.mean(of)), "nats") for name, of in found.items()]


class _Shortened:
    """Runs on the bundled corpus with some of its examples left out."""

    def __init__(self, setting: Setting, run: str) -> None:
        self._store, self._run = setting.store, run
        self.corpus = setting.store.corpus(CORPUS)
        firsts: dict[str, Probe] = {}
        for probe in self.corpus.probes:
            if probe.kind == KIND:
                firsts.setdefault(probe.constraint, probe)
        self.probes = list(firsts.values())[:: -(-len(firsts) // WORDS)]  # of both constraint types
        self._made: dict[tuple[str, ...], str] = {}

    def trained(self, left_out: Collection[str]) -> str:
        """The name of the run without these examples."""
        from engine.workflows.training import train

        key = tuple(sorted(left_out))
        if key not in self._made:
            name = f"{self._run}-{len(self._made)}"
            kept = tuple(example for example in self.corpus.examples if example.id not in left_out)
            self._store.save_corpus(Corpus(name, kept, tuple(self.probes)))
            train(self._store, Train(config=self._config(name)), quiet, NeverCancelled())
            self._made[key] = name
        return self._made[key]

    def taught(self, run: str, probe: Probe) -> Taught:
        from engine.workflows.queries import stored_taught
        from engine.workflows.taught import find_examples

        ref = f"{run}@100%"
        request = FindExamples(checkpoint=ref, prompt=probe.text, answer=probe.answer)
        find_examples(self._store, request, quiet, NeverCancelled())
        found = stored_taught(self._store, ref, probe.text, probe.answer)
        assert found is not None
        return found

    def answered(self, run: str, probe: Probe) -> float:
        """The log-probability of the right answer."""
        results = self._store.probe_results(run)[STEPS]
        return float(np.log(results.p[results.probe_id.index(probe.id)]))

    def _config(self, name: str) -> RunConfig:
        changes = {
            "name": name, "corpus": name, "corpus_hash": "", "n_steps": STEPS, "capture": (1.0,),
            "capture_every": CAPTURE_EVERY,
        }  # fmt: skip
        return self._store.run(self._run).model_copy(update=changes)
