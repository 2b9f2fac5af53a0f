"""Which graphs can be compared."""

import numpy as np

from engine.domain.errors import ComparisonRefused
from engine.domain.graphs import AttributionGraph, NodeKind


def refuse_others(a: AttributionGraph, b: AttributionGraph) -> None:
    """Raises ComparisonRefused where tokens, depth, transcoders or output targets differ."""
    if not np.array_equal(a.token_ids, b.token_ids):
        raise ComparisonRefused(
            f"{a.key.checkpoint} reads the prompt as {len(a.token_ids)} tokens ({' '.join(a.tokens)[:200]}), "
            f"{b.key.checkpoint} as {len(b.token_ids)} ({' '.join(b.tokens)[:200]}). Only graphs on the same tokens "
            "can be compared: use one prompt and checkpoints of one base model."
        )
    if a.n_layers != b.n_layers:
        raise ComparisonRefused(
            f"{a.key.checkpoint} has {a.n_layers} layers, {b.key.checkpoint} has {b.n_layers}. Compare checkpoints of "
            "one base model."
        )
    if a.key.transcoders_hash != b.key.transcoders_hash:
        raise ComparisonRefused(
            f"The two graphs were traced with different transcoders (“{a.key.transcoders}” and "
            f"“{b.key.transcoders}”), in which a feature number means different things. Trace both with one set."
        )
    logits_a, logits_b = (set(g.index[g.kind == NodeKind.LOGIT].tolist()) for g in (a, b))
    if logits_a != logits_b:
        raise ComparisonRefused(
            f"The two graphs were traced to different outputs ({' '.join(a.target_tokens)[:120]} and "
            f"{' '.join(b.target_tokens)[:120]}), so that most of the difference would be those. "
            "Trace both to the same target tokens."
        )
