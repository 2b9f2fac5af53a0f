import numpy as np

from engine.bench.straightforward import straightforward_scores
from engine.components.scores import score_edges
from engine.domain.components import ScoreSettings
from tests.components.micro import CONFIGS, made, some_pairs


def test_what_the_bench_measures_against_gives_the_same_scores() -> None:
    model, pairs = made(CONFIGS["llama"]).eval(), some_pairs(5)
    for layer in model.model.layers:  # the other side knows no biases
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            projection.bias.data.zero_()
        layer.self_attn.o_proj.bias.data.zero_()
    slow = straightforward_scores(model, pairs, n_steps=3, batch=2)
    fast = score_edges(model, pairs, ScoreSettings(n_groups=1, n_steps=3)).groups[0]
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4 * np.abs(slow).max())
