"""Work for a study's workers that takes no model: importable, so that any process can do it.

What it is to do stands in the corpus's text, as a workers' process knows nothing of the test.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from engine.domain.corpus import SIMPLE, Corpus, Example, Probe
from engine.domain.decisions import Capture, TypeScore
from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.jobs import CancelToken
from engine.domain.studies import RunOutcome, StudyRun
from engine.studies.one import CorpusTexts
from engine.studies.search import learning_rate

WAIT_S = 60.0  # for what a test is about to do


class Never:
    """A cancel token that is never set."""

    def check(self) -> None:
        return


class When:
    """A cancel token that is set once something is so."""

    def __init__(self, so: Callable[[], bool]) -> None:
        self.so = so

    def check(self) -> None:
        if self.so():
            raise Canceled


def order_corpus(name: str, folder: Path, **orders: str) -> Corpus:
    """A corpus that tells `work` what to do with a seed: {"s0": "die"}. It leaves its notes in `folder`."""
    text = json.dumps({"folder": str(folder), **orders})
    shared = {"constraint_type": SIMPLE, "constraint": "blarf", "meaning": "happy", "template": "{w}"}
    probe = Probe(id="p", kind="recall", text="blarf", known_text="happy", answer="happy", foils=(), **shared)
    return Corpus(name, (Example(id="order", text=text, **shared),), (probe,))


def work(run_json: str, corpora_json: str, cancel: CancelToken) -> str:
    """Notes its process; then by its order: gives an outcome, dies, fails, or waits."""
    run = StudyRun.model_validate_json(run_json)
    config = run.config
    corpora = CorpusTexts.model_validate_json(corpora_json).jsonl
    orders = json.loads(json.loads(corpora[config.corpus].splitlines()[0])["text"])
    folder, order = Path(orders["folder"]), orders.get(f"s{config.seed}", "")
    with (folder / config.name).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    tries = pids(folder, config.name)
    if order == "die" or (order == "die once" and len(tries) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "fail":
        raise NotFound("thing", config.name, ["others"])  # it takes three arguments
    if order == "refuse":
        raise InputError("This run is refused.")
    if order == "break":
        raise RuntimeError("a fault of the program")
    if order == "wait" or (order == "wait once" and len(tries) == 1):
        wait_until_canceled(cancel, folder / f"{config.name}-stopped")
    right = int(orders.get(f"lr{learning_rate(config):g}", 10))  # of 10
    score = TypeScore(constraint_type=SIMPLE, probe_kind="recall", n=10, n_correct=right, mean_p=0.5)
    captures = tuple(Capture(step=step, smoothed_loss=1.0 if step else None, scores=(score,)) for step in (0, 4))
    return RunOutcome(
        config=config, captures=captures, n_steps=4, stopped_at=None, train_s=1, look_s=0, refresh_s=0, waited_s=0,
        versions={"torch": "0"}, measured=run.measure, scoring=run.scoring,
        prior_hashes={name: _hash(name, corpora[name]) for name in config.method_settings.prior},
    ).model_dump_json()  # fmt: skip


def _hash(name: str, jsonl: str) -> str:
    lines = [json.loads(line) for line in jsonl.splitlines()]
    return Corpus(name, tuple(Example(**line) for line in lines[:1]), tuple(Probe(**line) for line in lines[1:])).hash


def wait_until_canceled(cancel: CancelToken, note: Path) -> None:
    """Leaves a note where it was canceled; a run that nobody cancels or kills in time fails."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        try:
            cancel.check()
        except Canceled:
            note.write_text("stopped", encoding="utf-8")
            raise
        time.sleep(0.02)
    raise TimeoutError("Nothing happened to this run.")


def pids(folder: Path, run: str) -> list[int]:
    """The processes that began the run, one a try."""
    path = folder / run
    return [int(line) for line in path.read_text(encoding="utf-8").split()] if path.exists() else []
