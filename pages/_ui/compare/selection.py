"""What Compare shows: checkpoints, a prompt or many, what is kept, what is marked. All of it is in the URL."""

from dataclasses import dataclass

from engine.domain.corpus import Probe
from engine.domain.diffs import DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import PruneSettings
from engine.domain.runs import Checkpoint
from engine.figures.map_view import DEEP
from engine.workflows.prompt_groups import ProbeGroup
from pages._ui import url
from pages._ui.graphs.picking import Picking

PAGE = "compare"
EXPLAINED = "explained"  # in the address
VIEWS = ("Map", "Graphs", "Overlay", "Time-lapse", "Table")
FORMER_VIEWS = {"where": "map"}  # of addresses that were kept
_SHARE_OF_DEEP = 0.6  # of the change
LEAST_SHARE = 0.1
MOST_CHANGE = 0.2  # the largest that the smallest change that counts can be set to
_DEFAULT = DiffSettings()
PICKING = Picking(PAGE, key="graphs")
MAP_PICKING = Picking(PAGE, key="map")
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
    share: float = 1.0  # of the change that what is drawn of the graphs carries


def default_share(n_layers: int) -> float:
    """Of the change: how much of it what is drawn of a graph carries, unless a person says otherwise."""
    return _SHARE_OF_DEEP if n_layers > DEEP else 1.0


def share_from_url(n_layers: int) -> float:
    return url.number(PAGE, "drawn", LEAST_SHARE, 1.0, default_share(n_layers))


def settings_from_url() -> DiffSettings:
    """What is kept, what is explained, what counts as a change; a wrong value says so and is left out."""
    prune = _DEFAULT.prune
    return DiffSettings(
        prune=PruneSettings(
            node_threshold=url.number(PAGE, "nodes", 0.05, 1.0, prune.node_threshold),
            edge_threshold=url.number(PAGE, "edges", 0.5, 1.0, prune.edge_threshold),
        ),
        explained=_explained_from_url(),
        min_change=url.number(PAGE, "change", 0.0, MOST_CHANGE, _DEFAULT.min_change),
    )


def _explained_from_url() -> ExplainedLogits | None:
    """`82`, `82.90`, `82-17.4` (against): token ids."""
    value = url.read(PAGE, EXPLAINED)
    if value is None:
        return None
    try:
        answers, _, against = value.partition("-")
        return ExplainedLogits(answers=_token_ids(answers), against=_token_ids(against))
    except ValueError:
        refuse_explained(value)
        return None


def _token_ids(text: str) -> tuple[int, ...]:
    """Raises ValueError."""
    return tuple(int(number) for number in text.split(".") if number)


def explain(explained: ExplainedLogits | None) -> None:
    """Into the address; None: what B finds most probable."""
    url.write_unless(PAGE, EXPLAINED, _as_text(explained) if explained else "", "")


def _as_text(explained: ExplainedLogits) -> str:
    return "-".join(".".join(map(str, ids)) for ids in (explained.answers, explained.against) if ids)


def refuse_explained(value: str | ExplainedLogits) -> None:
    """These graphs have no such outputs (another prompt's, say): told once."""
    shown = value if isinstance(value, str) else _as_text(value)
    url.refuse(PAGE, EXPLAINED, shown, "explained output", "Explained instead: what B finds most probable.")
    url.forget(PAGE, EXPLAINED)
