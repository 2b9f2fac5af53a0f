"""What is asked of a made study, and truths to make one with."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.domain.studies import Finding, FindingFigure, StudyTables
from engine.studies.findings import QUESTIONS
from tests.studies.made_tables import SPEC, Run, grid, stopped, tables
from tests.studies.one_question import question

COMMAND = "python -m engine study studies/made.yaml"
Rng = np.random.Generator
Truth = Callable[[Run, Rng], Run]


def found(key: str, runs: list[Run] | StudyTables) -> Finding:
    made = runs if isinstance(runs, StudyTables) else tables(runs)
    return question(key, QUESTIONS)(made, SPEC, COMMAND)


def figure(finding: Finding, name: str, unit: str | None = None) -> FindingFigure:
    return next(f for f in finding.figures if f.name == name and unit in (None, f.unit))


def ahead(mean: float, *, only: tuple[str, ...] = ("lora", "tokens", "lora_tokens"), spread: float = 10.0) -> Truth:
    def truth(run: Run, rng: Rng) -> Run:
        simple = 88 + rng.normal(0, 3)
        return replace(run, reached=(simple, simple + (mean if run.method in only else 0) + rng.normal(0, spread)))

    return truth


def with_rules(at: dict[str, Callable[[Rng], float]], *, reached: float = 150, n_seeds: int = 10) -> list[Run]:
    runs = grid(lambda run, _: replace(run, reached=(reached, reached)), n_seeds=n_seeds)
    for rule, stop in at.items():
        runs += grid(
            lambda run, rng, stop=stop: stopped(run, stop(rng), reached=(reached, reached)),  # type: ignore[misc]
            stopping=rule,
            n_seeds=n_seeds,
        )
    return runs


def tells(strength: float, *, apart: float = 0.0) -> Truth:
    """Meaning overlap goes with the end by `strength`, within methods; `apart`: how far methods lie apart."""

    def truth(run: Run, rng: Rng) -> Run:
        skill = rng.normal()
        offset = apart * ("lora", "tokens", "lora_tokens").index(run.method)
        noise = rng.normal()
        return replace(
            run,
            inference=float(np.clip(0.3 + 0.02 * skill + 0.1 * offset, 0.01, 0.99)),
            gap=0.2 + 0.01 * (strength * skill + (1 - strength) * noise) + 0.1 * offset,
            loss=1 + rng.normal() * 0.1,
            reached=tuple(100 + 40 * rng.normal(size=2)),
        )

    return truth


def many(truth: Truth) -> list[Run]:
    return grid(truth, n_seeds=40)


def stopping(*, at: float = 200, loses: float = 0.0, spread: float = 0.01, waited_s: float = 0.1) -> list[Run]:
    def full(run: Run, rng: Rng) -> Run:
        return replace(run, paraphrase=0.95, inference=0.5)

    def rule(run: Run, rng: Rng) -> Run:
        lost = loses + spread * rng.normal()
        return stopped(run, at, paraphrase=0.95 - lost, waited_s=waited_s, inference=0.5 * 300 / min(at, 300))

    return [*grid(full), *grid(rule, stopping="circuit_saturation")]


def curriculum(*, faster: float = 0.0, better: float = 0.0, spread: float = 0.005) -> list[Run]:
    def ours(run: Run, rng: Rng) -> Run:
        score = 0.95 + better + spread * rng.normal()
        return replace(run, paraphrase=score, reached=(100, 200 - faster), inference=0.5 + spread * rng.normal())

    even = grid(lambda run, _: replace(run, paraphrase=0.95, reached=(100, 200)))
    return [*even, *grid(ours, curriculum="circuit_change")]


def loss(within: float, across: float) -> Truth:
    """Inference rises with a lower loss by `within`; and from method to method by `across`."""

    def truth(run: Run, rng: Rng) -> Run:
        place = ("lora", "tokens", "lora_tokens").index(run.method)
        low, noise = rng.normal(size=2)
        return replace(
            run,
            loss=3 - 0.1 * low - 0.5 * place,
            inference=0.5 + 0.02 * (within * low + (1 - abs(within)) * noise) + 0.15 * across * place,
        )

    return truth


def controls(*, learned: float = 0.2, changed: bool = False, spread: float = 0.1) -> list[Run]:
    def shuffled(run: Run, rng: Rng) -> Run:
        score = float(np.clip(learned + spread * rng.normal(), 0, 1))
        return replace(run, corpus="demo-shuffled", paraphrase=score, reached=(0, 0))

    still = (300.0, 0.0) if changed else (0.0, 0.0)
    zero = grid(lambda run, _: replace(run, learning_rate=0.0, last_change=still), n_seeds=3)
    return [*grid(), *grid(shuffled), *zero]
