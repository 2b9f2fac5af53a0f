"""Stop when the smoothed training loss no longer falls: early stopping on the loss, with patience (Prechelt 1998)."""

from collections.abc import Sequence
from itertools import pairwise

from engine.domain.decisions import Capture, DecisionSettings, Verdict
from engine.domain.numbers import count, percent, plural, step_name


def decide(captures: Sequence[Capture], settings: DecisionSettings) -> Verdict:
    """Stops where each of the last `patience` captures lowered the smoothed loss by less than `loss_drop`.

    The drop is relative to the capture before. The base has no loss, so that `patience + 1` captures are needed
    after it. A loss that rises is flat too.
    """
    window = captures[-(settings.patience + 1) :]
    losses = [(one.step, one.smoothed_loss) for one in window if one.smoothed_loss is not None]
    if len(losses) <= settings.patience:
        without = [one.step for one in window if one.smoothed_loss is None and one.step > 0]
        why = (
            f"the loss at {step_name(without[-1])} is not known"
            if without
            else f"{plural(len(losses), 'checkpoint')} with a loss so far"
        )
        need = f"{count(settings.patience + 1)} in a row are needed"
        return Verdict(stop=False, reason=f"Too early to say whether the loss is flat: {why}, and {need}.")
    drops = [((before - now) / before if before else 0.0, step, now) for (_, before), (step, now) in pairwise(losses)]
    limit = percent(settings.loss_drop, 1)
    (first_step, first), (last_step, last) = losses[0], losses[-1]
    figures = f"from {first:.4g} at {step_name(first_step)} to {last:.4g} at {step_name(last_step)}"
    falling = [drop for drop in drops if drop[0] >= settings.loss_drop]
    if falling:
        drop, step, now = falling[-1]
        return Verdict(
            stop=False,
            reason=f"The loss still falls: by {percent(drop, 1)} to {now:.4g} at {step_name(step)}. Flat is below "
            f"{limit}.",
        )
    largest = max(drop for drop, _, _ in drops)
    return Verdict(
        stop=True,
        reason=f"The loss is flat: {figures}. No checkpoint lowered it by {limit}; the most was {percent(largest, 1)}.",
    )
