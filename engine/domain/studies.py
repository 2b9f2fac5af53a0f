"""A study: many runs that differ in one thing at a time, and what follows from all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from engine.domain.components import RobustnessReport, ScoreSettings, UnionReport
from engine.domain.corpus import CorpusSpec, Slug, TaskSpec
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, Capture, Decision, DecisionSettings
from engine.domain.measures import Estimate
from engine.domain.methods import METHOD_INFOS, MethodSettings
from engine.domain.names import Name
from engine.domain.record import Record
from engine.domain.runs import RunConfig

if TYPE_CHECKING:
    import pandas as pd

_AT_LEAST_ONE = Field(min_length=1)
# circuits: of every capture; robustness: of the last one; union: of the subtasks of `settings.prior`, at the last one;
# taught: the examples that taught each word are left out, and the run is made again; acted: when and where each word's
# answers moved, from capture to capture.
Measured = Literal["circuits", "robustness", "union", "taught", "acted"]
MEASURED: tuple[Measured, ...] = ("circuits", "robustness", "union", "taught", "acted")
Stage = Literal["search", "grid"]  # trying learning rates; the runs that are compared
STAGES: tuple[Stage, ...] = ("search", "grid")
Questions = Literal["measures", "learning", "methods"]  # in this order on the page
FIRSTS = (1, 5, 20)  # how many of a ranking's first places are patched together
ACTED_ROLES = ("beginning", "noun", "new_word", "other", "last")  # of tokens, as columns of a table
ACTED_COLUMNS = ("run", "constraint_type", "constraint", "n_probes", "step", "change", *ACTED_ROLES)
RANKING_COLUMNS = (
    "model", "run", "what", "prompt", "ranking", "is_default", "correlation", *(f"first_{n}" for n in FIRSTS),
)  # fmt: skip


class Grid(Record):
    """Every combination of the lists is one run. `learning_rates`: null is the method's own. What else is null is as
    the study says.
    """

    corpora: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("demo",)
    methods: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("lora",)
    seeds: Annotated[tuple[int, ...], _AT_LEAST_ONE] = (0,)
    stopping: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("none",)
    curricula: Annotated[tuple[Name, ...], _AT_LEAST_ONE] = ("uniform",)
    learning_rates: Annotated[tuple[float | None, ...], _AT_LEAST_ONE] = (None,)
    search: bool = False  # the learning rate is the one that the study's search finds
    watch: bool = False  # trace circuits at every capture, whatever the policies need
    rank: Annotated[int, Field(ge=1)] | None = None
    alpha: Annotated[int, Field(ge=1)] | None = None  # null: twice the rank where the grid has a rank, else RunConfig's
    settings: MethodSettings | None = None
    n_steps: Annotated[int, Field(ge=1)] | None = None
    capture_every: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    variant: Annotated[str, Field(pattern=r"^([a-z][a-z0-9]{0,19})?$")] = ""  # what is special about it; in run names
    measure: tuple[Measured, ...] = ()  # after training

    @model_validator(mode="after")
    def _known(self) -> "Grid":
        known: dict[str, Mapping[str, object]] = {
            "methods": METHOD_INFOS,
            "stopping": STOPPING_INFOS,
            "curricula": CURRICULUM_INFOS,
        }
        for axis, names in known.items():
            for name in getattr(self, axis):
                if name not in names:
                    raise ValueError(f"“{name[:40]}” is none of the {axis}: {', '.join(names)}")
        if "union" in self.measure and (self.settings is None or len(self.settings.prior) < 2):
            raise ValueError("“union” is measured of subtasks: name two or more corpora under settings.prior")
        if self.search and self.learning_rates != (None,):
            raise ValueError("“search” finds the learning rate: leave “learning_rates” out, or “search”")
        return self


def _which(corpus: Any) -> str:
    task = "task" in corpus if isinstance(corpus, dict) else isinstance(corpus, TaskSpec)
    return "task" if task else "corpus"


MadeCorpus = Annotated[Annotated[CorpusSpec, Tag("corpus")] | Annotated[TaskSpec, Tag("task")], Discriminator(_which)]


class RateSearch(Record):
    """Every way to train that asks for it tries the same multiples of its method's own learning rate, on seeds that
    are not those of its grid; the rate of the highest mean accuracy at the end is taken (of equals that of the lower
    loss, then the lower rate).
    """

    factors: Annotated[tuple[Annotated[float, Field(gt=0, le=1000)], ...], _AT_LEAST_ONE]
    seeds: Annotated[tuple[int, ...], _AT_LEAST_ONE]


class StudySpec(Record):
    """What a study file says. A run that several grids ask for is done once."""

    name: Name
    n_steps: Annotated[int, Field(ge=1)] = 300
    capture_every: Annotated[int, Field(ge=1)] = 25
    rank: Annotated[int, Field(ge=1)] = 8
    batch_size: Annotated[int, Field(ge=1)] = 10
    decisions: DecisionSettings = DecisionSettings()
    asks: Questions = "learning"  # which questions its findings answer
    scoring: ScoreSettings = ScoreSettings()  # of the circuits that grids measure
    search: RateSearch | None = None
    make: tuple[MadeCorpus, ...] = ()  # corpora to be made; others are taken from the workspace
    grids: Annotated[tuple[Grid, ...], _AT_LEAST_ONE]

    @model_validator(mode="after")
    def _searchable(self) -> "StudySpec":
        if self.search is None and any(grid.search for grid in self.grids):
            raise ValueError("a grid has “search: true”, but the study has no “search”: give it factors and seeds")
        if self.search and (both := {seed for grid in self.grids for seed in grid.seeds} & set(self.search.seeds)):
            raise ValueError(f"seed {min(both)} is in “search” and in a grid: rates are chosen on seeds of their own")
        return self


class StudyRun(Record):
    """One run of a study; its config says all that decides the result, once its learning rate is known."""

    config: RunConfig
    stage: Stage = "grid"
    variant: str = ""
    searched: bool = False  # its learning rate is the one that the search finds; until then the config has none
    measure: tuple[Measured, ...] = ()
    scoring: ScoreSettings = ScoreSettings()  # of what is measured

    @property
    def name(self) -> str:
        return self.config.name


class ComponentStep(Record):
    """The circuit of components at one capture, at the published share of edges, pruned."""

    step: int
    n_edges: int
    n_nodes: int
    node_jaccard: float | None = None  # with the capture before; None at the base
    edge_jaccard: float | None = None
    node_jaccard_base: float | None = None  # with the base
    edge_jaccard_base: float | None = None
    nodes_appeared: int = 0  # since the capture before
    nodes_vanished: int = 0
    edges_appeared: int = 0
    edges_vanished: int = 0
    delta_nodes: float | None = None  # nodes that came or went up to here, over those of the base; None: it has none
    delta_edges: float | None = None
    layer_change: tuple[float, ...] = ()  # of all edges' scores since the capture before, by layer
    faithfulness: Estimate | None = None  # at the last capture


class TaughtWord(Record):
    """Of one new word's answer: what training on all examples made of it, and training again without some of them.

    Values are the log-probability of the right answer at the end of a run, in nats.
    """

    constraint_type: str
    constraint: str
    prompt: str
    answer: str
    whole: float
    without_first: float  # the examples that are said to have taught it most
    without_last: float
    without_random: Annotated[tuple[float, ...], _AT_LEAST_ONE]  # a value a draw
    n_left_out: int  # each time
    n_about: int  # of the first `n_looked_at` examples, those about the word
    n_looked_at: int
    n_own: int  # examples about the word, of `n_examples`
    n_examples: int


class ActedWord(Record):
    """Of one new word: how far its right answers' logit moved over a run, and where; means over its paraphrases."""

    constraint_type: str
    constraint: str
    n_probes: int
    steps: Annotated[tuple[int, ...], Field(min_length=2)]  # of the checkpoints, the base first
    changes: tuple[float, ...]  # of the logit, from each checkpoint to the next
    roles: dict[str, tuple[float, ...]]  # what of these was made at tokens of each of ACTED_ROLES


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
    prior_hashes: dict[Name, str] = Field(default_factory=dict)  # of the corpora of `method_settings.prior`
    n_trainable: int = 0
    n_moved: int | None = None
    prepared_s: float = 0.0  # of train_s, before the first step: a probe run and its circuits
    peak_bytes: int | None = None
    critical_layers: tuple[int, ...] = ()
    measured: tuple[Measured, ...] = ()
    scoring: ScoreSettings = ScoreSettings()
    components: tuple[ComponentStep, ...] = ()  # the base first, where circuits were measured
    robustness: RobustnessReport | None = None
    union: UnionReport | None = None
    taught: tuple[TaughtWord, ...] = ()
    acted: tuple[ActedWord, ...] = ()
    unmeasured: dict[Measured, str] = Field(default_factory=dict)  # of `measured`, what could not be, and why


def _no_rows() -> "pd.DataFrame":
    import pandas as pd  # 0.4 s that `--help` does not need

    return pd.DataFrame()


@dataclass(frozen=True, eq=False)
class StudyTables:
    """A study's outcomes as tables; floats rounded to 5 digits.

    runs, a row a run: run, corpus, method, variant, stage, seed, stopping, curriculum, learning_rate, rank, n_steps,
        stopped_at (NaN: not stopped early), accuracy and accuracy_base (at the last capture and at the base: recall of
        a task; where there are such probes, the mean of paraphrase and inference), retained and retained_base
        (retention), n_trainable, n_moved (parameters), train_s (all wall time), prepared_s (of it, before the first
        step), peak_mb (MiB), critical_layers (“0 2”), look_s, refresh_s, waited_s, command.
    captures, a row a run, capture and constraint type: run, step, loss (smoothed; NaN at the base), constraint_type,
        recall, paraphrase, inference, retention (accuracy), p_paraphrase, p_inference (mean probability of the right
        token), n_paraphrase, n_inference (probes); where circuits were looked at (else NaN): fit, change, low, high,
        edge (of the study's measure, since the capture before), said, own, other (meaning overlap over all layers),
        weight (of sampling).
    components, a row a run and capture whose circuit of components was found: run, step, and the fields of
        ComponentStep; layer_change as “0.12 0.03”, faithfulness with its interval faithfulness_low and _high.
    circuits, a row a measured circuit of components: run, kind (robustness, union), subject (robustness: tuned, base,
        random), measure (robustness: nodes, edges, Jaccard; union: union, direct, faithfulness, and nodes, edges,
        Jaccard of the two), level (robustness: 0 for disjoint fifths, else the share of tokens replaced; union: the
        share of edges), value, low, high, n (pairs of circuits), n_edges.
    taught, a row a run and word whose examples were left out: run, and the fields of TaughtWord; without_random is the
        mean over draws, n_draws their number.
    acted, a row a run, word and checkpoint after the base: run, constraint_type, constraint, n_probes, step, change
        (of the right answers' logit since the checkpoint before), and what was made at tokens of ACTED_ROLES.
    rankings, a row a prompt, kind of place and ranking (“random”: random groups): model, run, what (MLPs, features,
        edges), prompt, ranking, is_default (the app goes by it), correlation (rank correlation with patching single
        places; NaN of random groups), first_1, first_5, first_20 (what its first places take back together, as a share
        of the change of the logit; NaN where there are no more places).
    """

    runs: "pd.DataFrame"
    captures: "pd.DataFrame"
    components: "pd.DataFrame" = field(default_factory=_no_rows)
    circuits: "pd.DataFrame" = field(default_factory=_no_rows)
    taught: "pd.DataFrame" = field(default_factory=_no_rows)
    rankings: "pd.DataFrame" = field(default_factory=_no_rows)
    acted: "pd.DataFrame" = field(default_factory=_no_rows)


class FindingFigure(Record):
    """One measured figure: a mean or a coefficient with its 95% interval."""

    name: str  # as the chart and the table write it
    value: float | None  # None: cannot be computed
    low: float | None = None
    high: float | None = None
    n: int  # what it is a mean over
    unit: str = ""
    null: float | None = None  # its value if there were nothing to find: no difference, chance, the untrained model
    published: float | None = None  # the figure of the paper whose claim is tested
    drawn: bool = True  # in the chart; else in the table only


def _verdict(value: object) -> object:
    """Studies of older versions say it in other words."""
    return "inconclusive" if value == "cannot be told" else value


class Finding(Record):
    """One question and what the study says about it."""

    key: Slug
    question: str
    verdict: Annotated[Literal["yes", "no", "partly", "inconclusive"], BeforeValidator(_verdict)]
    answer: str  # one sentence in plain words
    details: tuple[str, ...] = ()  # sentences: the numbers behind it, with intervals and n
    figures: tuple[FindingFigure, ...]
    axis: str = ""  # what the figures measure
    line: str = ""  # what the chart's dashed lines stand for
    evidence: str = ""  # where it is weak, in a few sentences
    command: str  # makes the figures again

    @model_validator(mode="before")
    @classmethod
    def _one_null_for_all(cls, data: Any) -> Any:
        """Files of before gave one `reference` for all figures like the first, up to the comma of their units."""
        if not isinstance(data, dict) or "reference" not in data:
            return data
        null, figures = data["reference"], data.get("figures") or [{}]
        first = figures[0].get("unit", "").partition(",")[0]
        alike = [figure | {"null": null} if figure.get("unit", "").partition(",")[0] == first else figure
                 for figure in figures if figure]  # fmt: skip
        return {key: value for key, value in data.items() if key != "reference"} | {"figures": alike}


class Study(Record):
    """`study.json`: what was asked, and what was found."""

    spec: StudySpec
    n_runs: int = 0  # finished
    failed: dict[Name, str] = Field(default_factory=dict)  # run -> why it has no outcome
    unmeasured: dict[Name, str] = Field(default_factory=dict)  # run -> what of its circuits could not be measured
    findings: tuple[Finding, ...] = ()
    command: str = ""  # makes it again; of studies of before, their findings say it
    versions: dict[str, str] = Field(default_factory=dict)
