"""Does circuit change tell when a run has nothing left to learn?"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.domain.numbers import percent
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only, with_null
from engine.studies.findings.select import EQUAL, PAIR, at_end, at_steps, by_pair, captures_of, chosen, full_runs
from engine.studies.findings.words import COARSE, interval, policy, same_words
from engine.studies.statistics import LEAST_N, Side, mean_interval, paired_difference, proportion, side

_RULES = ("circuit_saturation", "probe_plateau", "loss_plateau")
_OFTEN, _SELDOM = 0.8, 0.5  # share of the runs in which the rule fires
_SCORE = "paraphrase accuracy"


@dataclass(frozen=True)
class _Rule:
    gain: FindingFigure  # still to be had in paraphrase accuracy at the step of the stop
    early: FindingFigure  # share of the stops at which more than EQUAL was still to be had
    fired: FindingFigure  # share of the runs that were stopped before the end
    left: "pd.Series[Any]"  # the gain by pair


@asks("saturation", "Does circuit change tell when a run has nothing left to learn?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Each run with a stopping rule is laid beside the full run of its corpus, method and seed: what the full run still
    gained in paraphrase accuracy after the step of the stop. Too early: more than 0.05.

    The circuits' rule waits for flat probe scores as well, so these alone are what it is compared with. Yes: it fired
    in at least 80% of the runs, the interval of what was left ends below 0.05, and it surely left less than flat probe
    scores did; partly: the interval ends below 0.05, but the rest does not hold; no: the interval lies above 0.05, or
    the rule surely fires in less than half of the runs; else, and with fewer than five stops, it is inconclusive.
    """
    full = full_runs(tables, spec)
    captures = captures_of(tables, full, ["paraphrase"])
    rules: dict[str, _Rule] = {}
    reason = ""
    for name in _RULES:
        try:
            rules[name] = _rule(name, chosen(tables, spec, stopping=name), full, captures)
        except Missing as missing:
            reason = reason or str(missing)
    if "circuit_saturation" not in rules:
        raise Missing(reason)
    return _answer(rules, full, spec)


def _rule(name: str, stopped: pd.DataFrame, full: pd.DataFrame, captures: pd.DataFrame) -> _Rule:
    both = stopped.merge(full[[*PAIR, "run"]], on=PAIR, suffixes=("", "_full"))
    if both.empty:
        raise Missing(
            f"No run that stopped by “{policy(name)}” has a full run of the same corpus, method and seed beside it. "
            "Give both grids the same seeds and methods."
        )
    fired = both[both["stopped_at"].notna()]
    stops = fired.set_index("run_full")["stopped_at"]
    left = at_end(captures, "paraphrase") - at_steps(captures, "paraphrase", stops)
    pairs = by_pair(full, left)
    label = policy(name)
    return _Rule(
        mean_interval(label, pairs, unit=f"{_SCORE}, still gained after the stop", bounds=(-1.0, 1.0)),
        proportion(label, int((pairs > EQUAL).sum()), len(pairs), unit="share, of stops that came too early"),
        proportion(label, len(fired), len(both), unit="share, of runs that were stopped"),
        pairs,
    )


def _against_probes(rules: dict[str, _Rule]) -> FindingFigure | None:
    """What flat probe scores left minus what the circuits' rule left, by pair; None where they were not tried."""
    if "probe_plateau" not in rules:
        return None
    return paired_difference("left by probes alone", rules["probe_plateau"].left, rules["circuit_saturation"].left)


def _verdict(rule: _Rule, over_probes: Side) -> Verdict:
    where = side(rule.gain, null=EQUAL)
    if side(rule.fired, null=_SELDOM) == "below" or where == "above":
        return "no"
    if where == "below":
        return "yes" if (rule.fired.value or 0.0) >= _OFTEN and over_probes == "above" else "partly"
    return INCONCLUSIVE


def _answer(rules: dict[str, _Rule], full: pd.DataFrame, spec: StudySpec) -> Answer:
    circuits, more = rules["circuit_saturation"], _against_probes(rules)
    over_probes = "open" if more is None else side(more)
    shares = [getattr(rule, kind) for kind in ("early", "fired") for rule in rules.values()]
    return Answer(
        _verdict(circuits, over_probes),
        _sentence(circuits, over_probes),
        [*with_null(EQUAL, [rule.gain for rule in rules.values()]), *table_only(shares)],
        axis="paraphrase accuracy still gained after the stop",
        line=f"a gain of {EQUAL:g}, more than which counts as stopped too early",
        details=[*(_detail(name, rule) for name, rule in rules.items()), *_difference(more)],
        evidence=[
            "The rule counts circuits as settled where no change exceeds the noise floor. That floor is coarse: a "
            "slow, steady drift counts as settled too.",
            *_few(circuits),
            f"Runs have {spec.n_steps} steps and are scored every {spec.capture_every}.",
            COARSE,
            same_words(full["corpus"].nunique()),
        ],
    )


def _sentence(rule: _Rule, over_probes: Side) -> str:
    if not rule.gain.n:
        return f"The rule that waits for settled circuits stopped none of {rule.fired.n} runs, so nothing can be said."
    where = side(rule.gain, null=EQUAL)
    if where == "above":
        return "Runs stopped once their circuits had settled still had much to learn."
    if where == "open":
        return "Whether runs stopped once their circuits had settled had more to learn is open."
    beside = {
        "above": "and flat probe scores alone stopped them too early",
        "below": "but flat probe scores alone did better",
    }.get(over_probes, "but no surely better than waiting for flat probe scores alone")
    return f"Waiting for settled circuits stopped runs with almost nothing left to learn, {beside}."


def _detail(name: str, rule: _Rule) -> str:
    if not rule.gain.n:
        return f"Waiting for {policy(name)} stopped none of {rule.fired.n} runs."
    return (
        f"Waiting for {policy(name)} stopped {percent(rule.fired.value)} of the runs and left {interval(rule.gain)} of "
        f"paraphrase accuracy; {percent(rule.early.value)} of its stops came too early."
    )


def _difference(more: FindingFigure | None) -> list[str]:
    if more is None or more.n < LEAST_N:
        return []
    return [f"Flat probe scores alone left {interval(more)} more than settled circuits (both wait for the probes)."]


def _few(rule: _Rule) -> list[str]:
    return [f"It rests on {rule.gain.n} stops only."] if rule.gain.n < 2 * LEAST_N else []
