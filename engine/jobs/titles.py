"""What a job is called where no one gave it a title."""

from engine.domain.jobs import Compare, MakeCorpus, Probe, Request, Trace, Train, TrainTranscoders


def title_of(request: Request) -> str:
    """One short line, begun with a verb."""
    match request:
        case MakeCorpus():
            return f"Make corpus {request.spec.name}"
        case Train():
            return f"{'Resume' if request.resume else 'Train'} {request.config.name}"
        case TrainTranscoders():
            return f"Train transcoders {request.name}"
        case Compare():
            return f"Compare {request.a} with {request.b}"
        case Trace():
            return f"Trace {request.checkpoint}"
        case Probe():
            return f"Probe {request.run}"
