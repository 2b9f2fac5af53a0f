"""Can we tell when circuits have saturated?"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.select import EQUAL, PAIR, at_end, at_steps, by_pair, captures_of, chosen, full_runs
from engine.studies.findings.words import interval, listed, percent, policy
from engine.studies.statistics import LEAST_N, mean_interval, paired_difference, proportion, side

_RULES = ("circuit_saturation", "probe_plateau", "loss_plateau")
_OFTEN, _SELDOM = 0.8, 0.5  # share of the runs in which the rule fires
_SCORE = "paraphrase accuracy"


@dataclass(frozen=True)
class _Rule:
    gain: FindingFigure  # still to be had in paraphrase accuracy at the step of the stop
    early: FindingFigure  # share of the stops at which more than EQUAL was still to be had
    fired: FindingFigure  # share of the runs that were stopped before the end
    left: "pd.Series[Any]"  # the gain by pair


@asks("saturation", "Can we tell when circuits have saturated?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Each run with a stopping rule is laid beside the full run of its corpus, method and seed: what the full run still
    gained in paraphrase accuracy after the step of the stop. Too early: more than 0.05.

    Yes: the circuits' rule fired in at least 80 % of the runs and the interval of what was left ends below 0.05;
    partly: it ends there, but the rule fired less often; no: the interval lies above 0.05, or the rule surely fires in
    less than half of the runs; else, and with fewer than five stops, it cannot be told.
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
    return _answer(rules, spec)


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


def _verdict(rule: _Rule) -> Said:
    fires = rule.fired.value or 0.0
    where = side(rule.gain, null=EQUAL)
    if side(rule.fired, null=_SELDOM) == "below" or where == "above":
        return "no"
    if where == "below":
        return "yes" if fires >= _OFTEN else "partly"
    return UNTOLD


def _answer(rules: dict[str, _Rule], spec: StudySpec) -> Answer:
    circuits = rules["circuit_saturation"]
    others = [
        f"“{policy(name)}” leaves {interval(rule.gain)} and is too early in {percent(rule.early.value)}"
        for name, rule in rules.items()
        if name != "circuit_saturation"
    ]
    if circuits.gain.n:
        text = (
            f"Where the circuits' rule stops a run, the full run gains {interval(circuits.gain)} more in paraphrase "
            f"accuracy; the rule stopped {percent(circuits.fired.value)} of the runs, "
            f"{percent(circuits.early.value)} of these too early"
            f"{'. Beside it, ' if others else ''}{listed(others) if others else ''}."
        )
    else:
        text = f"The circuits' rule stopped none of {circuits.fired.n} runs, so nothing is known of its stops."
    kinds = ("gain", "early", "fired")
    return Answer(
        _verdict(circuits),
        text,
        [getattr(rule, kind) for kind in kinds for rule in rules.values()],
        reference=EQUAL,
        axis="paraphrase accuracy still to be gained (line: 0.05)",
        evidence=[*_beside(rules), *_few(circuits), f"Of {spec.n_steps} steps, scored every {spec.capture_every}."],
    )


def _beside(rules: dict[str, _Rule]) -> list[str]:
    """Whether the circuits tell more than the probes do, which their rule asks as well."""
    if "probe_plateau" not in rules:
        return []
    more = paired_difference("", rules["circuit_saturation"].left, rules["probe_plateau"].left)
    if more.low is None or more.n < LEAST_N:
        return []
    where = "less" if side(more) == "below" else "more" if side(more) == "above" else "not surely more or less"
    return [
        f"The circuits' rule also waits for the probes: beside the probes alone it leaves {where} ({interval(more)})."
    ]


def _few(rule: _Rule) -> list[str]:
    return [f"It rests on {rule.gain.n} stops only."] if rule.gain.n < 2 * LEAST_N else []
