"""When and where a run learned, as tables and as data: what `change` tells first."""

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cli.inputs import kind_option
from engine.cli.output import say, show_table
from engine.domain.numbers import plural

if TYPE_CHECKING:
    from engine.workflows.learned import Learned


def learned_data(found: "Learned") -> list[dict[str, Any]]:
    """A record a constraint type."""
    from engine.analysis.learned import learned_record

    return [learned_record(mean, found.steps) for mean in found.means.values()]


def show_learned(found: "Learned") -> None:
    """Of each constraint type a sentence or two, then a row a stretch between checkpoints. What is missing, too."""
    from engine.analysis.acted_mean import mean_sentence
    from engine.analysis.learned import moments_sentence, stretch_table

    for mean in found.means.values():
        say(mean_sentence(mean))
        if mean.is_same:
            continue
        say(moments_sentence(mean, found.steps))
        table = stretch_table(mean, found.steps)
        roles = list(table.columns[6:-1])
        rows = [
            (
                f"{row['from']} to {row['to']}",
                row["change"],
                _interval(row["low"], row["high"]),
                row["moved"],
                *(row[role] for role in roles),
                row["layers"],
            )
            for row in table.to_dict("records")
        ]
        columns = ("steps", "change", "95% interval", "moved", *roles, "most in layers")
        show_table(columns, rows, title=f"{found.run}, {mean.title}: how far the right answer’s logit moved, and where")
    for constraint_type, reason in found.refused.items():
        say(f"{constraint_type}: {reason}")
    _say_what_is_missing(found)


def _say_what_is_missing(found: "Learned") -> None:
    how = f"`analyse {found.run}{kind_option(found.kind)} --no-graphs`"
    if not found.means:
        say(
            f"Where training acted on “{found.run}” was not measured on its {found.kind} probes. {how} does so, in "
            "seconds to minutes and without transcoders."
        )
    elif not found.is_followed:
        say(f"Measured from the base to the last checkpoint over a few of those between; over all of them: {how}.")
    elif found.missing:
        n = found.n_probes - len(found.missing)
        say(f"Measured on {n} of {plural(found.n_probes, 'probe')}; more with --prompts of {how}.")


def _interval(low: float, high: float) -> str:
    return f"{low:+.2f} to {high:+.2f}".replace("-", "−") if np.isfinite(low) else "–"
