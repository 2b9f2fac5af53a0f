"""Which learning rate a search found: the same rule for every way to train."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf

from engine.domain.corpus import PROBE_KINDS
from engine.domain.decisions import Capture, TypeScore
from engine.domain.methods import METHOD_INFOS
from engine.domain.runs import RunConfig
from engine.domain.studies import RunOutcome, StudySpec
from engine.studies.spec import search_key, study_runs


def found_rates(spec: StudySpec, outcomes: Iterable[RunOutcome]) -> dict[str, float]:
    """By `search_key`: of the rates that were tried on all seeds, the one of the highest mean accuracy at the end.

    Of equals it is that of the lower mean loss, then the lower rate. A search without such a rate is left out.
    """
    if spec.search is None:
        return {}
    by_name = {outcome.config.name: outcome for outcome in outcomes}
    tried: Mapping[str, Mapping[float, list[RunOutcome]]] = defaultdict(lambda: defaultdict(list))
    for run in study_runs(spec):
        if run.stage == "search" and (outcome := by_name.get(run.name)) is not None:
            tried[search_key(run)][learning_rate(run.config)].append(outcome)
    n_seeds = len(set(spec.search.seeds))
    whole = {
        key: {rate: given for rate, given in rates.items() if len(given) == n_seeds} for key, rates in tried.items()
    }
    return {key: max(rates, key=lambda rate: (*_at_end(rates[rate]), -rate)) for key, rates in whole.items() if rates}


def learning_rate(config: RunConfig) -> float:
    """The method's own where the config has none."""
    own = METHOD_INFOS[config.method].default_learning_rate
    return own if config.learning_rate is None else config.learning_rate


def accuracy(capture: Capture) -> float | None:
    """Of a corpus of new words the mean of paraphrase and inference, of a task recall; mean over constraint types.

    None where the corpus asks none of these. What is retained of other things is never part of it.
    """
    words = _mean_share(score for score in capture.scores if PROBE_KINDS[score.probe_kind].held_out_phrasing)
    return _mean_share(score for score in capture.scores if score.probe_kind == "recall") if words is None else words


def retained(capture: Capture) -> float | None:
    """Accuracy on what the base knew, mean over constraint types; None where the corpus does not ask."""
    return _mean_share(score for score in capture.scores if PROBE_KINDS[score.probe_kind].known_words)


def _mean_share(scores: Iterable[TypeScore]) -> float | None:
    shares = [score.n_correct / score.n for score in scores if score.n]
    return sum(shares) / len(shares) if shares else None


def _at_end(outcomes: Sequence[RunOutcome]) -> tuple[float, float]:
    """Mean accuracy at the end, and how low the mean loss is. A loss that is no number is the worst."""
    ends = [outcome.captures[-1] for outcome in outcomes]
    right = sum(accuracy(end) or 0.0 for end in ends) / len(ends)
    losses = [inf if end.smoothed_loss is None or end.smoothed_loss != end.smoothed_loss else end.smoothed_loss for end in ends]  # fmt: skip  # noqa: E501
    return right, -sum(losses) / len(losses)
