"""Switching off the features that tell the two runs apart, where it was not measured yet."""

from engine.domain.jobs import Intervene
from pages._ui.jobs.button import job_button
from pages._ui.tour.facts import Compared


def ablation(found: Compared, features: tuple[str, ...]) -> None:
    """The button, then the progress; the page shows the result when it is there."""
    selection = found.selection
    request = Intervene(
        a=selection.a.ref, b=selection.b.ref, prompt=selection.prompt, transcoders=found.diff.a.key.transcoders,
        features=features,
    )  # fmt: skip
    job_button(
        request, label="Switch them off now", icon=":material/science:", key="tour_ablate",
        note="Both checkpoints run again with these features at zero. It takes a few seconds.",
    )  # fmt: skip
