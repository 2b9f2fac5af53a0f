"""What a job is called where no one gave it a title."""

from collections.abc import Sequence
from contextlib import suppress

from engine.domain.errors import TracelapseError
from engine.domain.jobs import (
    AddModel,
    AddRealModel,
    AnalyseRun,
    CheckRobustness,
    Compare,
    DescribeFeatures,
    FindCircuits,
    FindExamples,
    ImportCheckpoints,
    Intervene,
    LabelFeatures,
    MakeCorpus,
    MeasureProbes,
    Request,
    Timelapse,
    Trace,
    Train,
    TrainTranscoders,
    UniteCircuits,
    Where,
    WhereProbes,
)
from engine.domain.numbers import plural
from engine.domain.runs import NO_CORPUS
from engine.domain.words import listed, spoken
from engine.store import Store

_PROMPT = 40  # characters of a prompt
_JOINERS = "\u200c\u200d"  # parts of words in some scripts, and of pictures


def title_of(request: Request, store: Store | None = None) -> str:  # noqa: C901 - a case an action
    """One short line, begun with a verb; what is asked of prompts names the one, or how many and of which corpus.

    `store`: knows which corpus a run was trained on; without it that is not told.
    """
    match request:
        case MakeCorpus():
            return f"Create corpus {request.spec.name}"
        case Train():
            return f"{'Resume' if request.resume else 'Train'} {request.config.name}"
        case ImportCheckpoints():
            return f"Import {request.name}"
        case AddModel():
            return f"Add model {request.model.name}"
        case AddRealModel():
            return "Add SmolLM2-135M"
        case TrainTranscoders():
            return f"Train transcoders {request.name}"
        case Compare():
            return f"Compare {request.a} with {request.b}{_on(request.prompts, store, request.a, request.b)}"
        case Trace():
            return f"Trace {request.checkpoint}{_on(request.prompts, store, request.checkpoint)}"
        case Where():
            return f"Find where training acted{_on((request.prompt,))}, {request.a} to {request.b}"
        case WhereProbes():
            prompts = [one.prompt for one in request.asked]
            on = _on(prompts, store, request.a, request.b)
            return f"Find where training acted{on}, {request.a} to {request.b}"
        case FindExamples():
            of = _on((request.prompt,)) if request.prompt else f" on the type {spoken(request.constraint_type)}"
            return f"Find which examples taught {request.checkpoint}{of}"
        case Timelapse():
            return f"Trace the time-lapse of {request.a} and {request.b}{_on((request.prompt,))}"
        case Intervene():
            verb = "Ablate" if request.factor == 0 else "Scale"
            return f"{verb} {plural(len(request.features), 'feature')}{_on((request.prompt,))}"
        case DescribeFeatures():
            return f"Look up {plural(len(request.features), 'feature')}"
        case LabelFeatures():
            return f"Label the features of {listed(request.checkpoints)}"
        case AnalyseRun():
            n = plural(request.n_prompts, "prompt")
            return f"Analyze {request.run} on up to {n} of each type{_of_corpus(store, request.run)}"
        case FindCircuits():
            n_more = len(request.checkpoints) - 1
            more = f" and {n_more} more" if n_more else ""
            return f"Find the circuits of {request.checkpoints[0]}{more}{_with(store, request)}"
        case CheckRobustness():
            return f"Check the circuit of {request.checkpoint}{_with(store, request)}"
        case UniteCircuits():
            parts = plural(len(request.parts), "circuit")
            return f"Unite {parts} for {request.checkpoint}{_with(store, request)}"
        case MeasureProbes():
            what = " on the probes"
            asked = f"{what} of “{request.corpus}”" if request.corpus else _of_corpus(store, request.run, what=what)
            return f"Probe {request.run}{asked}"


def _on(prompts: Sequence[str], store: Store | None = None, *refs: str) -> str:
    """` on “The capital of …”`, or ` on 12 prompts of “demo”`."""
    if len(prompts) == 1:
        return f" on “{_start(prompts[0])}”"
    return f" on {plural(len(prompts), 'prompt')}{_of_corpus(store, *(ref.partition('@')[0] for ref in refs))}"


def _start(prompt: str) -> str:
    """On one line; what would turn or hide the text around it is left out."""
    shown = "".join(one if one.isprintable() or one in _JOINERS else " " for one in prompt[: 10 * _PROMPT])
    line = " ".join(shown.split())
    return line if len(line) <= _PROMPT else f"{line[: _PROMPT - 1].rstrip()}…"


def _of_corpus(store: Store | None, *runs: str, what: str = "") -> str:
    """` of “demo”`, where all of the runs were trained on it."""
    corpora = set()
    for run in runs:
        with suppress(TracelapseError):
            corpora |= {store.run(run).corpus} if store else set()
    return f"{what} of “{corpora.pop()}”" if len(corpora) == 1 and corpora != {NO_CORPUS} else ""


def _with(store: Store | None, request: FindCircuits | CheckRobustness | UniteCircuits) -> str:
    """` with up to 100 pairs of “demo”`; of a corpus that is known to have fewer, ` with the 32 pairs of “demo”`."""
    if not request.pairs:
        return ""
    n = request.settings.n_pairs
    there = next((info.n_pairs for info in store.corpora() if info.name == request.pairs), 0) if store else 0
    pairs = f"the {plural(there, 'pair')}" if 0 < there <= n else f"up to {plural(n, 'pair')}"
    return f" with {pairs} of “{request.pairs}”"
