"""Component circuits and the methods that ask for matrices, in every row of the table of families."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from engine.components.model import ComponentModel
from engine.components.parameters import NodeParameters
from engine.components.patched import run_circuits
from engine.components.randomised import random_copy
from engine.components.scores import score_edges
from engine.domain.components import Circuit, ScoreSettings
from engine.domain.errors import ModelUnavailable
from engine.models.adapters import merged_weights
from engine.models.families import FAMILIES
from engine.models.sharing import checkpoint_model
from engine.training.methods import ia3
from tests.attribution.parts import random_adapter
from tests.components.micro import some_pairs
from tests.components.reference import reference_scores
from tests.families import CONFIGS, VARIANTS, loaded_family, made

EVERY = CONFIGS | VARIANTS
ONCE = ScoreSettings(metric="logit_diff", n_steps=2, n_groups=1)


@pytest.fixture(scope="module", params=EVERY)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(family: str) -> PreTrainedModel:
    return made(EVERY[family])


def test_scores_are_those_of_separate_inputs(model: PreTrainedModel) -> None:
    pairs = some_pairs(3)
    slow = reference_scores(model, pairs, n_steps=2, metric="logit_diff").mean(axis=0)
    fast = score_edges(model, pairs, ONCE).groups[0]
    assert np.abs(slow).max() > 1e-3
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4 * np.abs(slow).max())


def test_the_whole_graph_is_the_clean_run_and_the_empty_one_the_corrupted(model: PreTrainedModel) -> None:
    pairs, shape = some_pairs(3), ComponentModel(model).shape
    none = np.zeros((shape.n_inputs, shape.n_sources), dtype=bool)
    circuits = [Circuit(shape, shape.edge_mask()), Circuit(shape, none)]
    (whole, empty), clean, corrupted = run_circuits(model, pairs, circuits, "logit_diff")
    np.testing.assert_allclose(whole, clean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(empty, corrupted, rtol=1e-4, atol=1e-4)
    assert np.abs(clean - corrupted).min() > 1e-3


def test_weights_of_nodes_fit_their_matrices(model: PreTrainedModel) -> None:
    """All nodes: all of every matrix; one query of one head: its rows of what the projection gives, and no others."""
    nodes = NodeParameters(model)
    shape, parts = nodes.shape, ComponentModel(model)
    for name, part in nodes.of(Circuit(shape, shape.edge_mask())).items():
        kept, size = part.kept, model.get_parameter(name).shape[part.axis]
        assert kept.all()
        assert len(kept) in (1, size)
    one = np.zeros((shape.n_inputs, shape.n_sources), dtype=bool)
    one[shape.head_input(1, 2, 0), 0] = True
    ((name, part),) = nodes.of(Circuit(shape, one)).items()
    with torch.no_grad():
        x = torch.randn(1, 1, parts.d_model)
        projection = parts.layers[1].projections[0]
        before = parts.split((parts.per_head(0, projection(x)),))[0] if parts.family.fused != "no" else projection(x)
        weight = model.get_parameter(name)
        saved = weight.clone()
        weight.index_fill_(part.axis, torch.from_numpy(np.flatnonzero(part.kept)), 0.0)
        after = parts.split((parts.per_head(0, projection(x)),))[0] if parts.family.fused != "no" else projection(x)
        weight.copy_(saved)
    changed = (before != after).reshape(parts.n_heads, parts.d_head).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [2]


def test_a_random_copy_has_weights_of_its_own(model: PreTrainedModel) -> None:
    drawn, tokens = random_copy(model, 0), torch.tensor([[1, 5, 7]])
    with torch.no_grad():
        assert not torch.allclose(drawn(input_ids=tokens).logits, model(input_ids=tokens).logits, atol=1e-2)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_is_scored_as_its_merged_copy_is(name: str, tmp_path: Path) -> None:
    loaded = loaded_family(name)
    adapter = random_adapter(loaded, tmp_path)
    found, wanted = (
        score_edges(model, some_pairs(2), ONCE).groups[0]
        for model in (checkpoint_model(loaded, adapter), merged_weights(loaded, adapter))
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_ia3_scales_keys_values_and_what_the_mlp_passes_on(name: str) -> None:
    model = made(CONFIGS[name])
    tuned = ia3.attach(model, None, None, None)  # type: ignore[arg-type]
    assert isinstance(tuned, PeftModel)
    scaled = {name.split(".ia3_l")[0] for name, value in tuned.named_parameters() if value.requires_grad}
    row, n_layers = FAMILIES[name], CONFIGS[name].num_hidden_layers
    wanted = row.projections if row.fused != "no" else row.projections[1:]
    ends = [f"{number}.{part}" for number in range(n_layers) for part in (*wanted, row.mlp_last)]
    assert len(scaled) == len(ends)
    assert all(any(name.endswith(end) for name in scaled) for end in ends)
    tokens = torch.tensor([[1, 5, 7]])
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.5)
        before = tuned(input_ids=tokens).logits
        torch.testing.assert_close(tuned.merge_and_unload()(input_ids=tokens).logits, before, rtol=1e-4, atol=1e-4)


def test_heads_that_one_norm_takes_together_are_refused_where_they_share_keys() -> None:
    config = CONFIGS["olmo2"].__class__(**CONFIGS["olmo2"].to_dict() | {"num_key_value_heads": 2})
    with pytest.raises(ModelUnavailable, match="one norm takes the keys of all heads together"):
        ComponentModel(made(config))
