"""Tables of a study that never ran: seeded, with a truth that the tests choose."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from engine.domain.corpus import SIMPLE, SPATIAL, CorpusSpec
from engine.domain.studies import FIRSTS, RANKING_COLUMNS, Grid, StudySpec, StudyTables

METHODS = ("lora", "tokens", "lora_tokens")
STEPS = tuple(range(0, 301, 25))
NAN = float("nan")
SPEC = StudySpec(name="made", grids=(Grid(),), make=(CorpusSpec(name="demo-shuffled", shuffled_meanings=True),))


@dataclass(frozen=True)
class Run:
    """One run and its truth; what a test does not choose is dull and the same everywhere."""

    method: str = "lora"
    seed: int = 0
    corpus: str = "demo"
    stopping: str = "none"
    curriculum: str = "uniform"
    learning_rate: float = NAN
    stopped_at: float = NAN
    reached: tuple[float, float] = (100.0, 100.0)  # step at which simple and spatial paraphrase is 0.9
    paraphrase: float = 1.0  # at the end
    inference: float = 0.5
    loss: float = 1.0  # at the end
    gap: float = 0.2  # of meaning overlap, from the first capture on
    last_change: tuple[float, float] = (150.0, 150.0)
    watched: bool = True
    step_s: float = 0.1
    look_s: float = 0.5  # a capture
    waited_s: float = 0.0

    @property
    def name(self) -> str:
        rate = "" if np.isnan(self.learning_rate) else f"-lr{self.learning_rate:g}"
        return f"{self.corpus}-{self.method}-{self.stopping}-{self.curriculum}{rate}-s{self.seed}"


def tables(runs: Sequence[Run]) -> StudyTables:
    """As the study makes them."""
    rows = [_run_row(run) for run in runs]
    captures = [row for run in runs for row in _capture_rows(run)]
    return StudyTables(pd.DataFrame(rows), pd.DataFrame(captures))


def grid(
    truth: Callable[[Run, np.random.Generator], Run] = lambda run, _: run,
    *,
    n_seeds: int = 10,
    methods: Sequence[str] = METHODS,
    stopping: str = "none",
    curriculum: str = "uniform",
) -> list[Run]:
    """A run a method and seed, each with its own reproducible chance."""
    return [
        truth(
            Run(method=method, seed=seed, stopping=stopping, curriculum=curriculum),
            np.random.default_rng([seed, place]),
        )
        for place, method in enumerate(methods)
        for seed in range(n_seeds)
    ]


def stopped(run: Run, at: float, **change: object) -> Run:
    return replace(run, stopped_at=at, **change)  # type: ignore[arg-type]  # the fields of Run


def ranked_places(
    first_five: Mapping[str, float], *, correlation: Mapping[str, float] | None = None, n: int = 8, what: str = "MLPs"
) -> pd.DataFrame:
    """The first ranking is the app's; prompts differ, all rankings alike but for a little."""
    rng = np.random.default_rng(0)
    rows = []
    for prompt in range(n):
        shared = rng.normal(0, 0.1)
        for place, (name, share) in enumerate(first_five.items()):
            own = share + shared + rng.normal(0, 0.01)
            rank = np.nan if name == "random" else (correlation or {}).get(name, 0.5) + rng.normal(0, 0.01)
            rows.append(("a model", "run", what, f"p{prompt}", name, place == 0, rank, *(own for _ in FIRSTS)))
    return pd.DataFrame(rows, columns=list(RANKING_COLUMNS))


def _steps(run: Run) -> list[int]:
    return [step for step in STEPS if np.isnan(run.stopped_at) or step <= run.stopped_at]


def _run_row(run: Run) -> dict[str, object]:
    steps = _steps(run)
    n_looks = len(steps) - 1 if run.watched else 0
    return {
        "run": run.name,
        "corpus": run.corpus,
        "method": run.method,
        "seed": run.seed,
        "stopping": run.stopping,
        "curriculum": run.curriculum,
        "learning_rate": run.learning_rate,
        "n_steps": steps[-1],
        "stopped_at": run.stopped_at,
        "train_s": steps[-1] * run.step_s + run.waited_s,
        "look_s": n_looks * run.look_s,
        "refresh_s": 0.0,
        "waited_s": run.waited_s,
        "command": "python -m engine train",
    }


def _capture_rows(run: Run) -> list[dict[str, object]]:
    rows = []
    for step in _steps(run):
        for place, kind in enumerate((SIMPLE, SPATIAL)):
            share = step / STEPS[-1]
            learned = step >= run.reached[place]
            # Below the learned level until the run's own step, then at its final score.
            paraphrase = run.paraphrase if learned else min(run.paraphrase, 0.8 * step / max(1.0, run.reached[place]))
            reading = run.watched and step > 0
            rows.append(
                {
                    "run": run.name,
                    "step": step,
                    "loss": NAN if step == 0 else run.loss + 2 * (1 - share),
                    "constraint_type": kind,
                    "recall": paraphrase,
                    "paraphrase": paraphrase,
                    "inference": run.inference * share,
                    "retention": 1.0,
                    "p_paraphrase": paraphrase,
                    "p_inference": run.inference * share,
                    "n_paraphrase": 40,
                    "n_inference": 40,
                    "fit": 0.9 if reading else NAN,
                    "change": (0.6 if step <= run.last_change[place] else 0.05) if reading else NAN,
                    "low": 0.5 if reading else NAN,
                    "high": 0.7 if reading else NAN,
                    "edge": 0.25 if reading else NAN,
                    "said": ("change" if step <= run.last_change[place] else "within") if reading else NAN,
                    "own": 0.1 + run.gap if reading else NAN,
                    "other": 0.1 if reading else NAN,
                    "weight": 0.5,
                }
            )
    return rows
