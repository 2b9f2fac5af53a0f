"""When a circuit came to rest, in a chart and in words."""

from engine.analysis.rests import Rests
from engine.figures.change_charts import Mark


def marks(quiet: Rests) -> list[Mark]:
    """Where a circuit came to rest, in the chart."""
    return [
        Mark(rest.step, f"saturated at {rest.step}")
        if rest is quiet.lasting
        else Mark(rest.step, f"quiet at {rest.step}, moved again", lasting=False)
        for rest in quiet.found
    ]


def saturation_words(quiet: Rests) -> tuple[str, str]:
    """A badge and what stands behind it; a rest that ended is told, because a rule would have stopped there."""
    lasting = quiet.lasting
    badge = f":green-badge[saturated at step {lasting.step}]" if lasting else ":gray-badge[not saturated]"
    ended = "".join(
        f" It had been quiet at step {rest.step} already, but changed by more than the noise again at step "
        f"{rest.moved_at}."
        for rest in quiet.found
        if rest is not lasting
    )
    return badge, (lasting.reason if lasting else quiet.lacks) + ended
