"""What Compare shows: checkpoints, a prompt or many, what is kept, what is marked. All of it is in the URL."""

from dataclasses import dataclass

from engine.domain.corpus import Probe
from engine.domain.diffs import DiffSettings
from engine.domain.graphs import PruneSettings
from engine.domain.runs import Checkpoint
from engine.workflows.prompt_groups import ProbeGroup
from pages._ui import url
from pages._ui.graphs.picking import Picking

PAGE = "compare"
VIEWS = ("Graphs", "Overlay", "Time-lapse", "Table", "Where")
_DEFAULT = DiffSettings()
PICKING = Picking(PAGE, key="graphs")
marks, mark = PICKING.marks, PICKING.mark


@dataclass(frozen=True)
class Selection:
    """Which circuits. With a group, many prompts: then `prompt` is empty and `probe` None."""

    a: Checkpoint
    b: Checkpoint
    prompt: str
    probe: Probe | None  # where the prompt is one of the corpus's
    group: ProbeGroup | None = None


@dataclass(frozen=True)
class Shown:
    """How they are shown."""

    view: str  # one of VIEWS
    settings: DiffSettings
    merged: bool  # supernodes are drawn as one node each


def settings_from_url() -> DiffSettings:
    """What is kept and what counts as a change; a wrong value says so and is left out."""
    prune = _DEFAULT.prune
    return DiffSettings(
        prune=PruneSettings(
            node_threshold=url.number(PAGE, "nodes", 0.05, 1.0, prune.node_threshold),
            edge_threshold=url.number(PAGE, "edges", 0.5, 1.0, prune.edge_threshold),
        ),
        min_change=url.number(PAGE, "change", 0.0, 0.05, _DEFAULT.min_change),
    )
