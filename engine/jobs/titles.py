"""What a job is called where no one gave it a title."""

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
from engine.domain.words import listed


def title_of(request: Request) -> str:  # noqa: C901 - a case an action
    """One short line, begun with a verb."""
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
            return f"Compare {request.a} with {request.b}"
        case Trace():
            return f"Trace {request.checkpoint}"
        case Where():
            return f"Find where training acted from {request.a} to {request.b}"
        case WhereProbes():
            return (
                f"Find where training acted from {request.a} to {request.b} on {plural(len(request.asked), 'prompt')}"
            )
        case FindExamples():
            return f"Find which examples taught {request.checkpoint}"
        case Timelapse():
            return f"Trace the time-lapse of {request.a} and {request.b}"
        case Intervene():
            verb = "Ablate" if request.factor == 0 else "Scale"
            return f"{verb} {len(request.features)} feature{'s' if len(request.features) > 1 else ''}"
        case DescribeFeatures():
            return f"Look up {len(request.features)} features"
        case LabelFeatures():
            return f"Label the features of {listed(request.checkpoints)}"
        case AnalyseRun():
            return f"Analyse {request.run}"
        case FindCircuits():
            n_more = len(request.checkpoints) - 1
            return f"Find the circuits of {request.checkpoints[0]}{f' and {n_more} more' if n_more else ''}"
        case CheckRobustness():
            return f"Check the circuit of {request.checkpoint}"
        case UniteCircuits():
            return f"Unite {len(request.parts)} circuits for {request.checkpoint}"
        case MeasureProbes():
            return f"Probe {request.run}"
