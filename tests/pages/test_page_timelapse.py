"""The time-lapse of a model of one's own: what is not traced is traced when it is asked for, as it may take long."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from page_texts import texts
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from engine.domain.graphs import Comparison, ComparisonKey
from engine.domain.jobs import Timelapse
from engine.domain.models import ModelSpec
from engine.workflows.queries import comparison_graphs
from pages._ui import session
from tests.store.artefacts import add_run

OpenPage = Callable[..., AppTest]
A, B, PROMPT = "mine@base", "mine@100%", "the cat feels blarf and"


def test_steps_of_ones_own_model_wait_to_be_asked_for(open_page: OpenPage, tmp_path: Path) -> None:
    (folder := tmp_path / "model").mkdir()
    save_file({"w": np.zeros(9_000, np.float32)}, folder / "model.safetensors")
    open_page("home")
    store = session.store()
    add_run(store, "mine", model=ModelSpec(name="own", source="folder", location=str(folder)))
    graphs = comparison_graphs(store, "demo-lora@100%", "demo-tokens@100%", PROMPT)
    assert graphs is not None
    a, b = (
        replace(one, key=one.key.model_copy(update={"checkpoint": ref}))
        for one, ref in zip(graphs, (A, B), strict=True)
    )
    for graph in (a, b):
        store.save_graph(graph)
    key = ComparisonKey(a=A, b=B, prompt=PROMPT, transcoders=a.key.transcoders)
    store.save_comparison(Comparison(key=key, graph_a=a.key, graph_b=b.key))
    app = open_page("compare", a=A, b=B, prompt=PROMPT, view="time-lapse")
    assert not app.exception
    assert not session.jobs().snapshot()
    assert "Each takes as long as a comparison" in texts(app)
    next(button for button in app.button if button.label.startswith("Trace the missing")).click().run()
    (job,) = session.jobs().snapshot()
    assert isinstance(job.request, Timelapse)
