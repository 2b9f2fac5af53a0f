"""What is decided while a run trains: when to stop, what to train on, and what was looked at to decide it."""

from typing import Annotated, Any

from pydantic import AliasChoices, Field

from engine.domain.corpus import ProbeKind, Slug
from engine.domain.graphs import FIT_LIMIT
from engine.domain.measures import Change, Floor, Measure
from engine.domain.names import Name
from engine.domain.record import Record


class PolicyInfo(Record):
    """A stopping or curriculum policy, as a form shows it."""

    name: Name
    title: str
    description: str  # one sentence
    needs_circuits: bool = False  # whether circuits are traced at each capture for it


STOPPING_INFOS: dict[str, PolicyInfo] = {
    info.name: info
    for info in (
        PolicyInfo(name="none", title="At the last step", description="Always trains the number of steps above."),
        PolicyInfo(
            name="loss_plateau",
            title="When the loss is flat",
            description="Stops when the smoothed training loss no longer falls.",
        ),
        PolicyInfo(
            name="probe_plateau",
            title="When the probes are flat",
            description="Stops when no constraint type’s held-out probes get better or worse.",
        ),
        PolicyInfo(
            name="circuit_saturation",
            title="When the circuits have settled",
            description="Stops when the probes are flat and no circuit changes by more than the noise floor. The floor "
            "misses large changes, and a slow, steady drift passes too.",
            needs_circuits=True,
        ),
    )
}
CURRICULUM_INFOS: dict[str, PolicyInfo] = {
    info.name: info
    for info in (
        PolicyInfo(name="uniform", title="Evenly", description="Every example is seen equally often."),
        PolicyInfo(
            name="under_learned",
            title="Low-scoring types more often",
            description="Constraint types whose probes score low are sampled more often.",
        ),
        PolicyInfo(
            name="circuit_change",
            title="Changing circuits more often",
            description="Constraint types whose circuits change above the noise floor are sampled more often.",
            needs_circuits=True,
        ),
    )
}


class DecisionSettings(Record):
    """The thresholds of all policies, and what is watched for them."""

    patience: Annotated[int, Field(ge=1, le=100)] = 3  # checkpoints in a row that must pass
    loss_drop: Annotated[float, Field(ge=0, le=1)] = 0.02  # of the smoothed loss from capture to capture: less is flat
    probe_kind: ProbeKind = "paraphrase"  # whose scores are followed, and whose prompts are traced
    measure: Measure = "influence"  # of circuit change
    min_fit: Annotated[float, Field(ge=0, le=1)] = FIT_LIMIT  # replacement score below which a circuit is not judged
    n_prompts: Annotated[int, Field(ge=1, le=100)] = 4  # traced of each constraint type at each capture
    least_share: Annotated[float, Field(gt=0, le=1)] = 0.2  # of the even share: no type is sampled less by a curriculum
    refresh_steps: Annotated[int, Field(ge=0, le=100_000)] = 100  # of the transcoders, where the fit is low; 0: never


class TypeScore(Record):
    """The probes of one constraint type and kind at one checkpoint."""

    constraint_type: Slug
    probe_kind: ProbeKind
    n: int
    n_correct: int
    mean_p: float  # probability of the right answer


class TypeReading(Record):
    """The circuit of one constraint type at one capture."""

    constraint_type: Slug
    n_prompts: int
    fit: float  # replacement score, mean over the prompts
    lowest_fit: float
    floor: dict[Measure, Floor] = Field(default_factory=dict)  # empty where there is one prompt
    change: dict[Measure, Change] = Field(default_factory=dict)  # since the capture before; empty at the first
    layers: tuple[float, ...] = ()  # share of the features' influence by layer, 0 to 1
    own: tuple[float, ...] = ()  # meaning overlap by layer: new words with what they mean
    other: tuple[float, ...] = ()  # … with the other meanings


class CircuitReading(Record):
    """What was seen of the circuits at one capture, while training went on."""

    step: int
    transcoders: str  # name of the set
    transcoders_hash: str
    refreshed: bool  # whether the set was trained on this capture first
    types: tuple[TypeReading, ...]
    trace_s: float  # wall time of tracing and measuring
    refresh_s: float = 0.0  # of training transcoders

    def of(self, constraint_type: str) -> TypeReading | None:
        return next((one for one in self.types if one.constraint_type == constraint_type), None)


def _stored(key: str, *, default: Any) -> Any:
    """A field that has another key in stored files: `look` is an older word for a reading."""
    field = {"look": "reading", "looks": "readings"}[key]
    return Field(default=default, validation_alias=AliasChoices(field, key), serialization_alias=key)


class Capture(Record):
    """All that a policy may know of one capture."""

    step: int
    smoothed_loss: float | None  # of an imported run as it was logged; None for the base and where it is not known
    scores: tuple[TypeScore, ...]
    # None where circuits are not watched, or not traced yet
    reading: CircuitReading | None = _stored("look", default=None)


class Verdict(Record):
    """What a stopping policy says of the captures so far."""

    stop: bool
    reason: str  # a sentence for people, with the figures it rests on
    saturated: tuple[Slug, ...] = ()  # constraint types that pass this policy (the name is that of the stored files)


class Decision(Record):
    """What was decided at one capture."""

    step: int
    verdict: Verdict
    weights: dict[Slug, float] = Field(default_factory=dict)  # of sampling, by constraint type, sum 1; empty: even


class RunDecisions(Record):
    """`decisions.json` of a run: everything it looked at and decided, so far."""

    readings: tuple[CircuitReading, ...] = _stored("looks", default=())
    decisions: tuple[Decision, ...] = ()
    stopped_at: int | None = None  # the step at which the policy ended the run
    waited_s: float = 0.0  # how long training stood still for looks

    @property
    def look_s(self) -> float:
        """Wall time of all looks, refreshing transcoders included."""
        return sum(reading.trace_s + reading.refresh_s for reading in self.readings)
