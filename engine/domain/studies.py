"""A study: many runs that differ in one thing at a time, and what follows from all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from engine.domain.corpus import CorpusSpec, Slug
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, Capture, Decision, DecisionSettings
from engine.domain.methods import METHOD_INFOS
from engine.domain.names import Name
from engine.domain.record import Record
from engine.domain.runs import RunConfig

if TYPE_CHECKING:
    import pandas as pd

_AT_LEAST_ONE = Field(min_length=1)


class Grid(Record):
    """Every combination of these is one run. `learning_rates`: null is the method's own."""

    corpora: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("demo",)
    methods: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("lora",)
    seeds: Annotated[tuple[int, ...], _AT_LEAST_ONE] = (0,)
    stopping: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("none",)
    curricula: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("uniform",)
    learning_rates: Annotated[tuple[float | None, ...], _AT_LEAST_ONE] = (None,)
    watch: bool = False  # trace circuits at every capture, whatever the policies need

    @model_validator(mode="after")
    def _known(self) -> "Grid":
        known: dict[str, Mapping[str, object]] = {
            "methods": METHOD_INFOS,
            "stopping": STOPPING_INFOS,
            "curricula": CURRICULUM_INFOS,
        }
        for field, names in known.items():
            for name in getattr(self, field):
                if name not in names:
                    raise ValueError(f"“{name[:40]}” is none of the {field}: {', '.join(names)}")
        return self


class StudySpec(Record):
    """What a study file says. A run that several grids ask for is done once."""

    name: Name
    n_steps: Annotated[int, Field(ge=1)] = 300
    capture_every: Annotated[int, Field(ge=1)] = 25
    rank: Annotated[int, Field(ge=1)] = 8
    decisions: DecisionSettings = DecisionSettings()
    make: tuple[CorpusSpec, ...] = ()  # corpora to be made; others are taken from the workspace
    grids: Annotated[tuple[Grid, ...], _AT_LEAST_ONE]


class StudyRun(Record):
    """One run of a study; its config says all that decides the result."""

    config: RunConfig

    @property
    def name(self) -> str:
        return self.config.name


class RunOutcome(Record):
    """What one run of a study gave."""

    config: RunConfig
    captures: tuple[Capture, ...]  # the base first
    decisions: tuple[Decision, ...] = ()  # one a capture, where a policy was asked
    n_steps: int  # done
    stopped_at: int | None
    train_s: float  # wall time of the whole run, looks included where training waited for them
    look_s: float  # wall time of looks, refreshing included
    refresh_s: float
    waited_s: float
    versions: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StudyTables:
    """A study's outcomes as tables; floats rounded to 5 digits.

    runs, a row a run: run, corpus, method, seed, stopping, curriculum, learning_rate, n_steps, stopped_at (NaN: not
        stopped early), train_s, look_s, refresh_s, waited_s, command.
    captures, a row a run, capture and constraint type: run, step, loss (smoothed; NaN at the base), constraint_type,
        recall, paraphrase, inference, retention (accuracy), p_paraphrase, p_inference (mean probability of the right
        token), n_paraphrase, n_inference (probes); where circuits were looked at (else NaN): fit, change, low, high,
        edge (of the study's measure, since the capture before), said, own, other (meaning overlap over all layers),
        weight (of sampling).
    """

    runs: "pd.DataFrame"
    captures: "pd.DataFrame"


class FindingFigure(Record):
    """One measured figure: a mean or a coefficient with its 95 % interval."""

    name: str  # as the chart and the table write it
    value: float | None  # None: cannot be computed
    low: float | None = None
    high: float | None = None
    n: int  # what it is a mean over
    unit: str = ""


class Finding(Record):
    """One question and what the study says to it."""

    key: Slug
    question: str
    verdict: Literal["yes", "no", "partly", "cannot be told"]
    answer: str  # one sentence, with its main figure
    figures: tuple[FindingFigure, ...]
    reference: float | None = None  # where the chart draws a line: chance, no difference
    axis: str = ""  # what the figures measure
    evidence: str = ""  # where it is weak, in one or two sentences
    command: str  # makes the figures again


class Study(Record):
    """`study.json`: what was asked, and what was found."""

    spec: StudySpec
    n_runs: int = 0  # finished
    failed: dict[Name, str] = Field(default_factory=dict)  # run -> why it has no outcome
    findings: tuple[Finding, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
