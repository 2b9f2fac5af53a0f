"""What is said of a graph that explains its checkpoint badly, or whose transcoders have read little."""

from collections.abc import Mapping

from engine.domain.graphs import FIT_LIMIT, AttributionGraph
from engine.domain.models import TranscoderMeta
from engine.domain.numbers import below, count, decimal, plural

SEEN = "The transcoders were trained on this prompt: of others, they may explain less than the replacement score says."


def score_text(replacement: float) -> str:
    """Two digits, rounded; never at the limit while below it. So it is written wherever it is shown."""
    return below(replacement, FIT_LIMIT)


def low_fit(graphs: Mapping[str, AttributionGraph]) -> str:
    """One sentence on those of the named graphs whose replacement score is low; nothing where none is."""
    low = {name: graph.fit.replacement for name, graph in graphs.items() if graph.fit.replacement < FIT_LIMIT}
    if not low:
        return ""
    scores = " and ".join(f"{score_text(score)} in {name}" for name, score in low.items())
    whose = "the graph leaves" if len(low) == 1 else "the graphs leave"
    return (
        f"The replacement score is {scores}, under {decimal(FIT_LIMIT)}: much of the computation runs through error "
        f"nodes, so {whose} out a large part."
    )


def few_read(meta: TranscoderMeta) -> str:
    """Of a set that was trained on few texts: that, and what it makes uncertain; else nothing."""
    if meta.n_few is None:
        return ""
    return (
        f"The transcoders have read only {plural(meta.n_few, 'text')} with each checkpoint, few for "
        f"{count(meta.training.n_features)} features a layer: what features stand for is uncertain."
    )
