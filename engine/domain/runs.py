"""A run (one fine-tune), its checkpoints, and what was measured at each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, field_validator, model_validator

from engine.domain.decisions import DecisionSettings
from engine.domain.methods import MethodSettings
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.domain.names import Name, label_for
from engine.domain.record import MaybeNumber, Record

Fraction = Annotated[float, Field(gt=0, le=1)]
NO_CORPUS: Final = "none"  # what an imported run says where no corpus was given
LOSS_SMOOTHING: Final = 0.9  # of the exponential mean of losses: the part of the mean so far; the rest is the new loss


LORA_RANK: Final = 8  # where none is asked for
MOST_STEPS: Final = 999_999_999  # of a run that was trained elsewhere
MAX_SEED: Final = 2**32 - 1  # NumPy's largest
_MOST_HERE: Final = {"n_steps": 1_000_000, "batch_size": 4096, "rank": 4096}  # of a run that is trained here


class RunConfig(Record):
    """Everything that decides a run's result."""

    name: Name
    model: ModelSpec = DEMO_MODEL
    corpus: Name
    corpus_hash: str = ""  # filled in when the run starts
    method: Name = "lora"  # a key of engine.training.methods
    n_steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 300
    batch_size: Annotated[int, Field(ge=1)] = 10
    learning_rate: Annotated[float, Field(ge=0, le=10)] | None = None  # None: the method's own default
    rank: Annotated[int, Field(ge=1)] = LORA_RANK  # of LoRA's matrices
    alpha: int | float = 16  # LoRA's scale is alpha / rank; as it is written
    method_settings: MethodSettings = MethodSettings()
    capture: tuple[Fraction, ...] = (0.25, 0.5, 0.75, 1.0)  # fractions of n_steps
    capture_every: Annotated[int, Field(ge=1)] | None = None  # and every so many steps
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    stopping: Name = "none"  # a key of engine.decisions.STOPPING
    curriculum: Name = "uniform"  # a key of engine.decisions.CURRICULA
    decisions: DecisionSettings = DecisionSettings()
    watch: bool = False  # trace circuits at each capture, even where no policy needs them
    imported: bool = False  # trained elsewhere; checkpoints were copied in, or referred to where they lie

    @field_validator("capture")
    @classmethod
    def _sorted(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(value)))

    @property
    def has_corpus(self) -> bool:
        """Whether it was trained on a corpus, or its probes were measured where it was imported."""
        return not (self.imported and self.corpus == NO_CORPUS)

    @property
    def steps_told(self) -> bool:
        """Whether anything says how many steps it was trained: of a model that lay alone, nothing does."""
        return not (self.imported and self.n_steps == 1)

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        """What was trained elsewhere is taken as it is."""
        if self.imported:
            return self
        for name, most in _MOST_HERE.items():
            if getattr(self, name) > most:
                called = name.replace("n_", "number of ").replace("_", " ")
                raise ValueError(f"the {called} is {getattr(self, name):,}; at most {most:,} can be trained here")
        if self.alpha <= 0:
            raise ValueError(f"alpha is {self.alpha}; it must be above 0")
        return self

    def capture_steps(self) -> tuple[int, ...]:
        """Steps at which a checkpoint is kept, ascending, without the base; the last step always is."""
        steps = {max(1, round(fraction * self.n_steps)) for fraction in self.capture} | {self.n_steps}
        if self.capture_every:
            steps |= set(range(self.capture_every, self.n_steps + 1, self.capture_every))
        return tuple(sorted(steps))


class CheckpointState(Record):
    """`state.json` beside an adapter: the training state at exactly that step."""

    step: Annotated[int, Field(ge=0)]
    max_steps: Annotated[int, Field(ge=1)]
    epoch: float
    loss: float | None  # of exactly this step's batch; None for the base and where it is not known
    smoothed_loss: float | None  # exponential mean with LOSS_SMOOTHING of the losses up to this step
    learning_rate: float | None
    seed: int
    examples_seen: int
    wall_time_s: float
    corpus_hash: str
    n_trainable: int = 0  # trainable parameters
    n_moved: int | None = None  # of these, how many differ from where they began; None: not counted
    peak_bytes: int | None = None  # most memory in use above what was when training began; None: not measured
    prepared_s: float = 0.0  # wall time before the first step: a probe run and its circuits
    versions: dict[str, str] = Field(default_factory=dict)  # package -> version


class WrittenTexts(Record):
    """`texts.json`: texts that a run's base and last checkpoint wrote, as there is no corpus of it here."""

    texts: tuple[str, ...]


class RunNotes(Record):
    """`about.json`: what a person wrote on a run."""

    note: Annotated[str, Field(max_length=2000)] = ""
    tags: tuple[Annotated[str, Field(min_length=1, max_length=40)], ...] = ()

    @field_validator("tags")
    @classmethod
    def _once(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tags))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk. The base (step 0) has no adapter."""

    run: str
    state: CheckpointState
    folder: Path  # PEFT's adapter folder plus state.json and probes.json

    @property
    def step(self) -> int:
        return self.state.step

    @property
    def label(self) -> str:
        return label_for(self.step, self.state.max_steps)

    @property
    def ref(self) -> str:
        return f"{self.run}@{self.label}"

    @property
    def adapter(self) -> Path | None:
        """The folder that PEFT reads, or None for the base model."""
        return self.folder if self.step else None


class ProbeResults(Record):
    """`probes.json`: one entry a probe, in the corpus's order; columns of equal length."""

    probe_id: tuple[str, ...]
    predicted: tuple[str, ...]  # what the model writes, up to the first token that is not the right answer's
    p: tuple[MaybeNumber, ...]  # probability of the right answer: the product of its tokens'
    rank: tuple[int, ...]  # of the right answer's tokens the worst, 1 is best
    logit_diff: tuple[MaybeNumber, ...]  # right answer's log-probability minus the best foil's (of tokens: logits)
    correct: tuple[bool, ...]

    def to_json(self) -> str:
        """On one line: there is such a file beside every checkpoint."""
        return self.model_dump_json() + "\n"


class LossLog(Record):
    """`losses.json`: the loss of every step so far; NaN where it was no finite number."""

    step: tuple[int, ...] = ()
    loss: tuple[MaybeNumber, ...] = ()
    learning_rate: tuple[float, ...] = ()


class LoggedSeries(Record):
    """One measure that a trainer logged; NaN where it was no finite number."""

    step: tuple[int, ...]
    value: tuple[MaybeNumber, ...]


class LoggedMetrics(Record):
    """`metrics.json`: what a trainer elsewhere logged besides the training loss, by its name there."""

    series: dict[str, LoggedSeries] = Field(default_factory=dict)


class TuningLog(Record):
    """`tuning.json`: what circuit-tuning allowed to move, one entry each time it looked for the circuit."""

    step: tuple[int, ...] = ()  # the first that was trained so
    n_edges: tuple[int, ...] = ()  # kept
    nodes: tuple[tuple[str, ...], ...] = ()  # whose weights were trained, in the order of the network
    share: tuple[float, ...] = ()  # of the model's parameters
