"""When a circuit settled, in a chart and in words."""

from engine.analysis.settling import Settling
from engine.domain.numbers import count, step_name
from engine.figures.change_charts import StepMark


def marks(found: Settling) -> list[StepMark]:
    """Where a circuit settled, in the chart."""
    return [
        StepMark(one.step, f"settled at step {count(one.step)}")
        if one is found.lasting
        else StepMark(one.step, f"settled at step {count(one.step)}, changed later", lasting=False)
        for one in found.times
    ]


def settled_words(found: Settling) -> tuple[str, str]:
    """A badge and what stands behind it. A time that ended is named too: a rule would have stopped the run there."""
    lasting = found.lasting
    badge = f":blue-badge[settled at {step_name(lasting.step)}]" if lasting else ":gray-badge[not settled]"
    ended = "".join(
        f" It met the rule at {step_name(one.step)} already; at {step_name(one.changed_at)} its change was above the "
        "noise floor again."
        for one in found.times
        if one.changed_at is not None
    )
    return badge, (lasting.reason if lasting else found.lacks) + ended
