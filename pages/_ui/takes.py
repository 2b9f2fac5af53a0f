"""How long a job takes: as the same work took with this model before, else as it takes with the demo's."""

from engine.analysis.watched import watched_probes
from engine.domain.components import SHARES, ScoreSettings
from engine.domain.errors import TracelapseError
from engine.domain.graphs import ComparisonKey
from engine.domain.jobs import (
    AnalyseRun,
    CheckRobustness,
    Compare,
    FindCircuits,
    FindExamples,
    JobRecord,
    Request,
    Where,
    WhereProbes,
)
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.domain.numbers import duration
from engine.store import Store
from engine.workflows.courses import path_between
from engine.workflows.learned import stops
from engine.workflows.model_facts import model_facts
from engine.workflows.transcoders import GRAPH, own_set, set_for
from pages._ui.pair_fits import pairs_fit
from pages._ui.session import jobs

_LEAST_S = 1.0  # a job that took less had its results already
_LEAST_CHARACTERS = 60  # of a prompt: below, what every prompt takes is more than what its length does
_TRAINING = _LEAST_CHARACTERS / (2 * GRAPH)  # characters of prompts, of two graphs each, that take as long as a set
_SCORE_S, _CURVE_S = 0.6, 1.7  # circuits of one checkpoint, 100 pairs, on the demo's model and one core
_LOOKED_AT = 5  # of jobs that did the same; the slowest counts, as others had a part of their results already


def on_this_model(store: Store, run: str, takes: str, request: Request) -> str:
    """How long `request` takes: `takes` is what was measured with the demo's model. Where the base model of this run is
    larger, it is said how much, and where the time will be seen; where the same kind of work was done with it, how long
    that took, instead.

    Without a full stop; begins as `takes` does. Raises NotFound.
    """
    model = store.run(run).model
    if model.source != "bundled" and (seconds := _measured(store, model, request)) is not None:
        about = "About" if takes[0].isupper() else "about"
        return f"{about} {duration(seconds)}, as it took with this model before"
    told = f"{takes} with the demo’s model{_and_short_prompts(request)}"
    if model.source == "bundled":
        return told
    own, demo = (model_facts(store, spec).n_parameters for spec in (model, DEMO_MODEL))
    if not own or not demo:
        return f"{told}; this one may be much larger, and its progress tells how long it takes"
    if own < 2 * demo:
        return told
    # No figure for it: most of what a job takes with the demo's model does not grow with a model's size.
    return f"{told}; this one is {own / demo:,.0f} times as large, and its progress tells how long it takes"


def _and_short_prompts(request: Request) -> str:
    prompts = (
        request.prompts if isinstance(request, Compare) else (request.prompt,) if isinstance(request, Where) else ()
    )
    return " and a short prompt" if any(len(prompt) > 2 * _LEAST_CHARACTERS for prompt in prompts) else ""


def _measured(store: Store, model: ModelSpec, request: Request) -> float | None:
    """Seconds, by the last jobs that did the same with this model; None where there is none."""
    done = [job for job in jobs().snapshot() if job.state == "done" and _is_alike(store, model, job.request, request)]
    trains = _trains(store, request)
    same = [job for job in done if trains == _trained(store, job, done)]
    looked_at = [job for job in same if _seconds(job) >= _LEAST_S][:_LOOKED_AT]
    first = _TRAINING if trains else 0.0  # once, however much is asked for
    rates = [_seconds(job) / (first + _amount(store, job.request)) for job in looked_at]
    return max(rates) * (first + _amount(store, request)) if rates else None


def _seconds(job: JobRecord) -> float:
    return (job.finished_at or 0.0) - (job.started_at or 0.0)


def _is_alike(store: Store, model: ModelSpec, other: Request, request: Request) -> bool:
    if type(other) is not type(request) or not (run := _run_of(other)):
        return False
    if isinstance(other, WhereProbes) and isinstance(request, WhereProbes) and other.each != request.each:
        return False
    try:
        its = store.run(run).model
    except TracelapseError:  # a run that is gone
        return False
    return (its.source, its.location) == (model.source, model.location)


def _trains(store: Store, request: Request) -> bool:
    """Whether transcoders are trained first, which takes longer than all the rest."""
    if not isinstance(request, Compare) or request.transcoders:
        return False
    model = store.run(_run_of(request)).model
    return not own_set(store, model) and set_for(store, [request.a, request.b]) is None


def _trained(store: Store, job: JobRecord, done: list[JobRecord]) -> bool:
    """Whether they were: by the first comparison of its runs that used its set. `done`: of the same kind, the newest
    first."""
    if not isinstance(job.request, Compare) or job.request.transcoders:
        return False
    earlier = (other for other in done[done.index(job) + 1 :] if _runs(other.request) == _runs(job.request))
    used = _set_of(store, job)
    return not any(_set_of(store, other) == used for other in earlier)


def _set_of(store: Store, job: JobRecord) -> str:
    """The transcoder set that a comparison was made with; empty where it is gone."""
    asked = job.request
    assert isinstance(asked, Compare)
    made, prompt = job.result.partition(",")[0], asked.prompts[0]  # of each prompt, in their order
    names = (meta.name for meta in store.transcoder_sets())
    keys = (ComparisonKey(a=asked.a, b=asked.b, prompt=prompt, transcoders=name) for name in names)
    return next((key.transcoders for key in keys if key.hash == made), "")


def _runs(request: Request) -> set[str]:
    return {ref.partition("@")[0] for ref in (request.a, request.b)} if isinstance(request, Compare) else set()


def _run_of(request: Request) -> str:
    match request:
        case FindCircuits():
            ref = request.checkpoints[0]
        case CheckRobustness() | FindExamples():
            ref = request.checkpoint
        case Compare() | Where() | WhereProbes():
            ref = request.a
        case AnalyseRun():
            ref = request.run
        case _:
            return ""
    return ref.partition("@")[0]


def _amount(store: Store, request: Request) -> float:
    """How much of its kind of work is asked for, in a unit of that kind."""
    match request:
        case FindCircuits():
            return circuits_s(request, _n_pairs(store, request))
        case CheckRobustness():
            return _n_pairs(store, request)
        case Compare():
            return sum(_length(prompt) for prompt in request.prompts)
        case Where():
            return _length(request.prompt) * _n_stretches(store, request)
        case WhereProbes():
            return (sum(_length(one.prompt) for one in request.asked) or 1.0) * _n_stretches(store, request)
        case AnalyseRun():
            return float(len(store.checkpoints(request.run)) * _n_probes(store, request))
        case _:
            return 1.0


def circuits_s(request: FindCircuits, n_pairs: float, *, n_scored: int = 0) -> float:
    """Seconds with the demo's model, for so many pairs. `n_scored`: at so many of the checkpoints faithfulness alone is
    to be measured."""
    n = len(request.checkpoints)
    scores = (n - n_scored) * _SCORE_S * request.settings.n_steps / ScoreSettings().n_steps
    return n_pairs / 100 * (scores + n * _CURVE_S * len(request.shares) / len(SHARES))


def _n_pairs(store: Store, request: FindCircuits | CheckRobustness) -> float:
    """Of the corpus, as many as its model reads."""
    run = _run_of(request)
    there = pairs_fit(store, run, request.pairs or store.run(run).corpus).n_fit
    return min(request.settings.n_pairs, there or request.settings.n_pairs)


def _n_stretches(store: Store, request: Where | WhereProbes) -> int:
    """Between checkpoints, over which it is measured."""
    try:
        a, b = store.checkpoint(request.a), store.checkpoint(request.b)
    except TracelapseError:  # of one that is gone
        return 1
    if isinstance(request, WhereProbes) and request.each:
        return max(1, len(stops([one for one in store.checkpoints(a.run) if a.step <= one.step <= b.step])) - 1)
    return len(path_between(store, a, b)) - 1


def _n_probes(store: Store, request: AnalyseRun) -> int:
    """At least 1."""
    try:
        corpus = store.corpus(store.run(request.run).corpus)
    except TracelapseError:  # one that is gone
        return request.n_prompts
    return len(watched_probes(corpus, request.probe_kind, request.n_prompts)) or 1


def _length(prompt: str) -> float:
    return max(len(prompt), _LEAST_CHARACTERS)
