"""The graph of a real model, edge by edge: 30 layers, grouped heads, tied embeddings, trained weights."""

from pathlib import Path

import pytest
from circuit_tracer import attribute

from engine.attribution.trace import trace_graph
from engine.bench.real import SHORT
from engine.bench.tracing import dense_of, largest_difference
from engine.domain.graphs import TraceSettings
from engine.domain.models import ModelSpec
from engine.models.base import encode, load_base
from engine.models.replacement import Replacement
from tests.attribution.lens_oracle import lens_model
from tests.attribution.parts import BACKWARD_HOOK, key, random_transcoders

TOP_K = 2  # 9 tokens x 30 layers x 2: 540 features


@pytest.mark.real
@pytest.mark.filterwarnings(BACKWARD_HOOK)
def test_a_real_model_has_the_graph_that_the_oracle_finds(real_folder: Path) -> None:
    loaded = load_base(ModelSpec(name="smollm2", source="folder", location=str(real_folder)))
    transcoders = random_transcoders(loaded, n_features=64, top_k=TOP_K)
    everything = TraceSettings(max_edges=10_000_000)
    ours = trace_graph(Replacement(loaded, transcoders), key=key(SHORT.prompt, settings=everything))
    lens = lens_model(loaded.model, random_transcoders(loaded, n_features=64, top_k=TOP_K), loaded.tokenizer)
    theirs = attribute(encode(loaded, SHORT.prompt)[0], lens, batch_size=64)
    assert len(theirs.active_features) == 9 * 30 * TOP_K
    assert largest_difference(ours, *dense_of(theirs)) < 1e-5
