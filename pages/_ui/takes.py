"""How long a job takes: as the same work took with this model before, else as it takes with the demo's."""

from engine.analysis.watched import watched_probes
from engine.domain.errors import TracelapseError
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
from engine.workflows.transcoders import set_for
from pages._ui.session import jobs

_LEAST_S = 1.0  # a job that took less had its results already
_LEAST_CHARACTERS = 60  # of a prompt: below, what every prompt takes is more than what its length does
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
    same = [job for job in done if _trains(store, request) == _trained(job, done)]
    looked_at = [job for job in same if _seconds(job) >= _LEAST_S][:_LOOKED_AT]
    rates = [_seconds(job) / _amount(store, job.request) for job in looked_at]
    return max(rates) * _amount(store, request) if rates else None


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
    return isinstance(request, Compare) and set_for(store, [request.a, request.b]) is None


def _trained(job: JobRecord, done: list[JobRecord]) -> bool:
    """Whether they were: by the first comparison of its runs. `done`: of the same kind, the newest first."""
    if not isinstance(job.request, Compare):
        return False
    return not any(_runs(other.request) == _runs(job.request) for other in done[done.index(job) + 1 :])


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
            return len(request.checkpoints) * _n_pairs(store, request)
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


def _n_pairs(store: Store, request: FindCircuits | CheckRobustness) -> float:
    there = next((info.n_pairs for info in store.corpora() if info.name == request.pairs), 0)
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
