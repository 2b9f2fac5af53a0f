"""Does stopping by circuit change save time at equal performance?"""

from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only, with_null
from engine.studies.findings.equality import kept, scores_at_end, surely_lost
from engine.studies.findings.select import EQUAL, by_pair, chosen, full_runs, need
from engine.studies.findings.words import COARSE, interval, policy, same_words, saves
from engine.studies.statistics import paired_difference, side

_RULES = ("circuit_saturation", "probe_plateau", "loss_plateau")
_UNITS = {
    "paraphrase": "difference, in paraphrase accuracy",
    "inference": "difference, in inference accuracy",
    "steps": "difference, steps saved",
    "seconds": "difference, seconds saved",
}
Figures = dict[str, FindingFigure]  # by what is measured, keys of _UNITS


@asks("stopping", "Does stopping by circuit change save time at equal performance?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Each stopping rule against none, paired by corpus, method and seed: final scores, steps and seconds.

    Seconds are wall time, tracing circuits included. Full runs may be watched for other questions, which slows them:
    theirs are their steps at the median pace of the method's runs that traced nothing.
    A score is kept where the interval of its difference ends above -0.05, and surely lost where it lies below 0 and
    reaches beyond -0.05. Yes: stopping by circuits keeps both scores and saves seconds (interval above 0); no: it
    surely loses one, or keeps them but saves no steps, or surely costs seconds; partly: it keeps both scores and saves
    steps, and whether it saves seconds is open; else, and with fewer than five pairs, it is inconclusive.
    """
    full = full_runs(tables, spec)
    full = full.assign(seconds=_unwatched(full, tables.runs))
    ends = scores_at_end(tables)
    rules: dict[str, Figures] = {}
    reason = ""
    for name in _RULES:
        try:
            rules[name] = _rule(name, chosen(tables, spec, stopping=name), full, ends)
        except Missing as missing:
            reason = reason or str(missing)
    if "circuit_saturation" not in rules:
        raise Missing(reason)
    return _answer(rules, full)


def _rule(name: str, stopped: pd.DataFrame, full: pd.DataFrame, ends: dict[str, "pd.Series[Any]"]) -> Figures:
    def more(kind: str) -> FindingFigure:
        return paired_difference(
            policy(name), by_pair(stopped, ends[kind]), by_pair(full, ends[kind]), unit=_UNITS[kind]
        )

    def saved(kind: str, column: str) -> FindingFigure:
        whole, ended = (by_pair(runs, runs.set_index("run")[column]) for runs in (full, stopped))
        return paired_difference(policy(name), whole, ended, unit=_UNITS[kind])

    stopped = need(stopped, ["n_steps", "train_s"]).assign(seconds=stopped["train_s"])
    return {
        "paraphrase": more("paraphrase"),
        "inference": more("inference"),
        "steps": saved("steps", "n_steps"),
        "seconds": saved("seconds", "seconds"),
    }


def _unwatched(full: pd.DataFrame, runs: pd.DataFrame) -> "pd.Series[Any]":
    """Seconds of each full run as they are where no circuits are traced."""
    need(runs, ["method", "n_steps", "train_s", "look_s", "waited_s"])
    plain = runs[runs["look_s"].fillna(0.0) == 0]
    pace = (plain["train_s"] / plain["n_steps"]).groupby(plain["method"]).median()
    own = full["train_s"] - full["waited_s"].fillna(0.0)
    return (full["method"].map(pace) * full["n_steps"]).fillna(own)


def _verdict(rule: Figures) -> Verdict:
    scores = [rule["paraphrase"], rule["inference"]]
    if any(surely_lost(score) for score in scores):
        return "no"
    if not all(kept(score) for score in scores):
        return INCONCLUSIVE
    steps, seconds = side(rule["steps"]), side(rule["seconds"])
    if steps in ("same", "below") or seconds == "below":
        return "no"
    if seconds == "above":
        return "yes"
    return "partly" if steps == "above" else INCONCLUSIVE


def _answer(rules: dict[str, Figures], full: pd.DataFrame) -> Answer:
    circuits = rules["circuit_saturation"]
    scores = [figures[kind] for kind in ("paraphrase", "inference") for figures in rules.values()]
    costs = [figures[kind] for kind in ("seconds", "steps") for figures in rules.values()]
    return Answer(
        _verdict(circuits),
        _sentence(circuits),
        with_null(0.0, [*costs, *table_only(scores)]),
        axis="saved against training all the steps",
        line="no difference",
        details=[
            f"Stopping by {policy(name)} {saves(figures['steps'], 'steps')} and "
            f"{saves(figures['seconds'], 'seconds', 1)}; paraphrase accuracy changes by "
            f"{interval(figures['paraphrase'])}, inference by {interval(figures['inference'])}."
            for name, figures in rules.items()
        ],
        evidence=[
            f"Equal means that the interval rules out a loss of {EQUAL:g} or more.",
            "This is one small model, where tracing takes longer than training. In a large model both cost more, and "
            "the balance may differ.",
            COARSE,
            same_words(full["corpus"].nunique()),
        ],
    )


def _sentence(rule: Figures) -> str:
    scores = [rule["paraphrase"], rule["inference"]]
    if any(surely_lost(score) for score in scores):
        return "Runs stopped by their circuits end with lower scores."
    if not all(kept(score) for score in scores):
        return "Whether runs stopped by their circuits end with equal scores is open."
    steps, seconds = side(rule["steps"]), side(rule["seconds"])
    if steps in ("same", "below"):
        return "Stopping by circuits keeps the scores but saves no steps."
    return {
        "above": "Stopping by circuits keeps the scores and saves time, tracing included.",
        "below": "Stopping by circuits saves steps at equal scores, but tracing the circuits takes more time than that "
        "saves.",
    }.get(seconds, "Stopping by circuits saves steps at equal scores; whether it saves time is open.")
