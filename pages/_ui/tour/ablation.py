"""Switching off the features that tell the two runs apart: what was measured, or the button that measures it now."""

from engine.domain.interventions import Intervention
from engine.domain.jobs import Intervene
from engine.figures.tour_charts import effect_chart
from pages._ui.cached import draw
from pages._ui.jobs.button import job_button
from pages._ui.tour.facts import Compared

_WIDTH, _HEIGHT = 1220, 124


def effects_figure(effects: tuple[Intervention, Intervention], found: Compared) -> None:
    """Before and after in A and in B, and B's change of the answer as predicted and as measured."""
    a, b = effects
    titled = {
        f"{side} · {len(one.changed)} of {len(one.key.features)} active": one for side, one in (("A", a), ("B", b))
    }
    answer = found.probe.answer.strip()
    draw(
        lambda: effect_chart(titled, answer, width=_WIDTH, height=_HEIGHT),
        "tour effect", a.to_json(), b.to_json(),
        key="tour effect",
        alt=f"Next words of A and B before and after {len(b.key.features)} features were switched off.",
    )  # fmt: skip


def ablation(found: Compared, features: tuple[str, ...]) -> None:
    """The button, then the progress; the page shows the result when it is there."""
    selection = found.selection
    request = Intervene(
        a=selection.a.ref, b=selection.b.ref, prompt=selection.prompt, transcoders=found.diff.a.key.transcoders,
        features=features,
    )  # fmt: skip
    job_button(
        request, label="Switch them off now", icon=":material/science:", key="tour_ablate",
        note="Both checkpoints run again with these features at zero. It takes some seconds.",
    )  # fmt: skip
