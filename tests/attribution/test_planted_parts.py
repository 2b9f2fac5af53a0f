"""A planted change comes first by parts and by edges' own weights, where nothing behind it passes it on.

What is passed on has changed too: the part of every place behind it that reads it, what norms and attention make of it.
So it is planted in the last layer, or in a direction of the stream that only the output reads.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from engine.analysis.diff import diff_everything
from engine.analysis.parts import move_table, place_table
from engine.attribution.trace import trace_graph
from engine.domain.diffs import FLOW, DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph
from engine.models.base import LoadedModel, encode
from engine.models.parts import Parts
from engine.models.replacement import Replacement
from tests.attribution.parts import key, random_transcoders
from tests.attribution.test_every_family import PROMPT, TARGETS
from tests.families import loaded_family

OF = ExplainedLogits(answers=(TARGETS[1],))
FREE = 3  # a direction of the stream that only the output reads
HEAD = slice(8, 16)  # what the second head writes, in the inputs of the output projection


def traced(loaded: LoadedModel, b: PreTrainedModel) -> tuple[AttributionGraph, AttributionGraph]:
    """The transcoders write nothing to FREE either."""
    transcoders = random_transcoders(loaded)
    for parameter in transcoders.parameters():
        if parameter.shape[-1] == loaded.d_model:
            parameter.data[..., FREE] = 0
    replacement = Replacement(loaded, transcoders)
    made = (trace_graph(replacement, key=key(PROMPT, targets=TARGETS), merged=side) for side in (None, b))
    return next(made), next(made)


def changed(a: AttributionGraph, b: AttributionGraph) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes but for the output itself, and edges, largest first: those whose own change counts."""
    found = diff_everything(a, b, DiffSettings(explained=OF))
    nodes, edges = (table[table["status"] != "unchanged"] for table in (found.nodes, found.edges))
    return nodes[nodes["kind"] != "logit"], edges


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "gpt_neox"])
def test_a_planted_mlp_of_the_last_layer(family: str) -> None:
    """It stands in the layer's error: the transcoder is one for both checkpoints."""
    loaded = loaded_family(family)
    b = copy.deepcopy(loaded.model)
    weight = Parts(b).layers[-1].mlp_last.weight.data
    weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    graphs = traced(loaded, b)
    last = len(graphs[0].tokens) - 1
    nodes, edges = changed(*graphs)
    assert nodes["id"].tolist() == edges["source"].tolist() == [f"error/{loaded.n_layers - 1}/{last}/0"]


@pytest.fixture
def free() -> LoadedModel:
    """A Llama in which nothing writes to one direction, and only the output reads it."""
    loaded = loaded_family("llama")
    for name, weight in loaded.model.named_parameters():
        if name.endswith(("layernorm.weight", "o_proj.weight", "down_proj.weight")):
            weight.data[FREE] = 0
    loaded.model.get_input_embeddings().weight.data[:, FREE] = 0
    loaded.model.get_output_embeddings().weight.data[OF.answers[0], FREE] = 20
    return loaded


def test_a_planted_row_of_an_mlp(free: LoadedModel) -> None:
    """In the first layer: two layers lie behind it."""
    b = copy.deepcopy(free.model)
    row = b.model.layers[0].mlp.down_proj.weight.data[FREE]
    row += 0.1 * torch.randn(row.shape, generator=torch.Generator().manual_seed(0))
    graphs = traced(free, b)
    last = len(graphs[0].tokens) - 1
    first = place_table(*graphs, OF).iloc[0]
    assert (first["layer"], first["position"]) == (0, last)
    nodes, edges = changed(*graphs)
    assert nodes["id"].tolist() == edges["source"].tolist() == [f"error/0/{last}/0"]


def test_a_planted_head(free: LoadedModel) -> None:
    """In the first layer, which reads tokens alone: what it brings from each of them has changed, and nothing else."""
    b = copy.deepcopy(free.model)
    row = b.model.layers[0].self_attn.o_proj.weight.data[FREE, HEAD]
    row += 0.1 * torch.randn(row.shape, generator=torch.Generator().manual_seed(1))
    graphs = traced(free, b)
    edges = diff_everything(*graphs, DiffSettings(explained=OF)).edges
    change = edges[FLOW["b"]] - edges[FLOW["a"]]
    last = len(graphs[0].tokens) - 1
    into = edges["target"] == f"logit/{free.n_layers}/{last}/{OF.answers[0]}"
    direct = (into & edges["source"].str.startswith("token/")).to_numpy()
    wanted = brought(free, b, row)
    assert np.abs(wanted).max() > 0.04
    position = edges["source"][direct].str.split("/").str[2].astype(int)
    np.testing.assert_allclose(change[direct], wanted[position], rtol=0, atol=2e-3 * np.abs(wanted).max())
    assert np.abs(change[~direct]).max() < 2e-3 * np.abs(wanted).max()
    first = move_table(*graphs, OF).iloc[0]
    assert (first["source"], first["target"]) == (np.abs(wanted[:last]).argmax(), last)


def brought(loaded: LoadedModel, b: PreTrainedModel, row: torch.Tensor) -> np.ndarray:
    """(n_pos,) by hand: what the planted head brings to the logit from each token."""
    own = copy.deepcopy(b)
    own.set_attn_implementation("eager")
    streams: list[torch.Tensor] = []
    own.model.norm.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0][0, -1]))
    found = own(encode(loaded, PROMPT), output_attentions=True, output_hidden_states=True)
    layer, norm = own.model.layers[0], own.model.norm
    values = layer.self_attn.v_proj(layer.input_layernorm(found.hidden_states[0][0]))[:, :8]  # (n_pos, 8)
    pattern = found.attentions[0][0, 1, -1]  # (n_pos,) of the second head, which shares these values with the first
    out = own.lm_head.weight[:, FREE]
    scale = norm.weight[FREE] * (streams[0].square().mean() + norm.variance_epsilon).rsqrt()
    return (pattern * (values @ row) * scale * (out[OF.answers[0]] - out.mean())).numpy()
