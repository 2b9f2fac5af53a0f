"""Time-lapses: which checkpoints a moment shows, in which order they are traced, and what of it is stored."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.diff import diff_graphs
from engine.attribution.trace import trace_prompt
from engine.domain.errors import Canceled, ComparisonRefused, InputError, NotFound
from engine.domain.graphs import NodeKind
from engine.domain.jobs import Compare, Intervene, Timelapse, TrainTranscoders
from engine.domain.timelapse import Moment
from engine.models.transcoders import save_transcoders
from engine.store import Store
from engine.workflows import run
from engine.workflows.queries import (
    comparison_graphs,
    moments,
    stored_interventions,
    timelapse_graphs,
    timelapse_keys,
    timelapse_order,
    tried,
)
from tests.attribution.parts import (
    BACKWARD_HOOK,
    PROMPT,
    SMALL,
    Never,
    add_run,
    load,
    random_transcoders,
    silent,
    workspace,
)

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
ALL = ("one@base", "one@25%", "one@50%", "one@100%", "two@base", "two@25%", "two@50%", "two@100%")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which `one@50%` and `two@100%` are compared on the prompt, with a set named `small`."""
    folder = tmp_path_factory.mktemp("timelapse")
    store = Store(folder / "workspace", bundled=None)
    workspace(store, "llama", folder / "base")
    run(store, TrainTranscoders(name="small", checkpoints=ALL, training=SMALL), silent, Never())
    run(store, Compare(a="one@50%", b="two@100%", prompts=(PROMPT,)), silent, Never())
    store.close()
    return store.workspace


@pytest.fixture
def compared(made: Path, tmp_path: Path) -> Store:
    """A copy of it, to change."""
    shutil.copytree(made, tmp_path / "copy")
    return Store(tmp_path / "copy", bundled=None)


def request(*checkpoints: str, **changes: str) -> Timelapse:
    sides = {"a": "one@50%", "b": "two@100%", "prompt": PROMPT} | changes
    return Timelapse(**sides, checkpoints=checkpoints)


def test_the_moments_of_two_runs(store: Store, tmp_path: Path) -> None:
    loaded = load("llama", tmp_path / "base")
    add_run(store, loaded, "few", seed=1, steps=(0, 2, 4))
    add_run(store, loaded, "long", seed=2, steps=(0, 3, 6, 8))
    assert moments(store, "few@100%", "long@step3") == (
        Moment(0, "few@base", "long@base"),
        Moment(2, "few@50%", "long@base"),
        Moment(3, "few@50%", "long@step3"),
        Moment(4, "few@100%", "long@step3"),
        Moment(6, "few@100%", "long@75%"),
        Moment(8, "few@100%", "long@100%"),
    )
    turned = moments(store, "long@base", "few@base")
    assert [(m.step, m.b, m.a) for m in turned] == [(m.step, m.a, m.b) for m in moments(store, "few@base", "long@base")]


def test_the_moments_of_one_run(store: Store, tmp_path: Path) -> None:
    loaded = load("llama", tmp_path / "base")
    add_run(store, loaded, "few", seed=1, steps=(0, 2, 4))
    shown = moments(store, "few@step2", "few@base")
    assert shown == (
        Moment(0, "few@50%", "few@base"),
        Moment(2, "few@50%", "few@50%"),
        Moment(4, "few@50%", "few@100%"),
    )
    with pytest.raises(NotFound, match="few@25%"):
        moments(store, "few@25%", "few@base")
    with pytest.raises(NotFound, match="gone"):
        moments(store, "few@base", "gone@base")


def test_neighbours_are_traced_first() -> None:
    shown = tuple(Moment(step, f"a@{step}", f"b@{step // 100 * 100}") for step in (0, 50, 100, 150, 300))
    order = timelapse_order(shown, 100)
    assert order == ("a@100", "b@100", "a@50", "b@0", "a@150", "a@0", "a@300", "b@300")
    assert timelapse_order(shown, 1000)[0] == "a@300"  # a step that is no moment: from the nearest one
    assert timelapse_order(tuple(reversed(shown)), 100) == order
    assert timelapse_order((), 100) == ()


def test_each_checkpoint_is_traced_as_the_comparison_was(compared: Store) -> None:
    a, b = comparison_graphs(compared, "one@50%", "two@100%", PROMPT)  # type: ignore[misc]
    assert timelapse_keys(compared, "one@50%", "two@100%", PROMPT) == {}  # of the moments, none is whole yet
    said: list[tuple[float, str]] = []
    asked = request("two@50%", "one@base", "two@base", "one@100%")
    done = run(compared, asked, lambda *told: said.append(told), Never())
    assert [share for share, _ in said] == sorted(share for share, _ in said)
    titles = dict.fromkeys(text.partition(":")[0] for _, text in said if text.startswith("Tracing"))
    # What is traced together is the two sides of a moment, as soon as both have been asked for.
    assert list(titles) == ["Tracing step 2 of two", "Tracing step 0 of two", "Tracing step 4 of one"]
    assert any("features, 1 MB" in text for _, text in said)
    assert len(done.split(",")) == 4

    pairs = timelapse_graphs(compared, "one@50%", "two@100%", PROMPT)
    assert list(pairs) == [0, 2, 4]
    for graph_a, graph_b in pairs.values():
        assert graph_a.key.targets == graph_b.key.targets == a.key.targets
        assert graph_a.key.transcoders_hash == a.key.transcoders_hash
        assert diff_graphs(graph_a, graph_b).nodes is not None
    assert [pair[0].key.checkpoint for pair in pairs.values()] == ["one@base", "one@50%", "one@100%"]
    assert pairs[4][1].key == b.key
    # The other way round, and of a run with itself
    turned = timelapse_graphs(compared, "two@100%", "one@50%", PROMPT)
    assert {step: (y.key, x.key) for step, (x, y) in turned.items()} == {
        s: (x.key, y.key) for s, (x, y) in pairs.items()
    }
    assert timelapse_graphs(compared, "one@50%", "one@100%", PROMPT) == {}  # not compared, so nothing to be like


def test_graphs_traced_otherwise_are_not_shown(compared: Store) -> None:
    """Other targets, prompts or transcoders do not belong to the timelapse."""
    before = timelapse_keys(compared, "one@50%", "two@100%", PROMPT)
    run(compared, Compare(a="one@base", b="two@base", prompts=(PROMPT, "the dog rises")), silent, Never())
    run(
        compared,
        TrainTranscoders(name="other", checkpoints=ALL, training=SMALL.model_copy(update={"seed": 1})),
        silent,
        Never(),
    )
    run(compared, Compare(a="one@base", b="two@base", prompts=(PROMPT,), transcoders="other"), silent, Never())
    keys = compared.graph_keys("one@base")
    assert len(keys) == 3
    assert timelapse_keys(compared, "one@50%", "two@100%", PROMPT) == before


def test_what_is_stored_is_skipped_and_a_canceled_job_keeps_what_it_has(
    compared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[str] = []

    def trace(*args: object, **options: object) -> object:
        found = trace_prompt(*args, **options)  # type: ignore[arg-type]
        traced.append(options["key"].checkpoint)  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr("engine.attribution.trace.trace_prompt", trace)

    class AfterOne:
        def check(self) -> None:
            if traced:
                raise Canceled

    asked = request("one@base", "one@50%", "two@base", "one@base")
    with pytest.raises(Canceled):
        run(compared, asked, silent, AfterOne())
    assert traced == ["one@base"]
    run(compared, asked, silent, Never())
    assert traced == ["one@base", "two@base"]
    assert list(timelapse_keys(compared, "one@50%", "two@100%", PROMPT)) == [0]


def test_what_is_not_there_is_told(compared: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"comparison of one@50% with two@100% named “the dog”.* Available: the cat"):
        run(compared, request("one@base", prompt="the dog"), silent, Never())
    with pytest.raises(NotFound, match="one@75%"):
        run(compared, request("one@75%"), silent, Never())
    with pytest.raises(NotFound, match="gone"):
        run(compared, request("one@base", a="gone@base"), silent, Never())
    assert run(compared, request(), silent, Never()) == ""  # nothing asked for
    add_run(compared, load("qwen3", tmp_path / "qwen3"), "other", seed=3)
    with pytest.raises(ComparisonRefused, match=r"“one” was trained on .*“other” on"):
        run(compared, request("other@base"), silent, Never())
    with pytest.raises(NotFound, match="comparison"):
        run(compared, request("one@base", transcoders="other"), silent, Never())
    folder = compared.transcoder_folder("small")
    save_transcoders(folder, random_transcoders(load("llama", Path(compared.run("one").model.location)), n_features=64))
    with pytest.raises(InputError, match="“small” has been made again"):
        run(compared, request("one@base"), silent, Never())


def test_both_sides_of_a_comparison_are_changed_and_kept(compared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = comparison_graphs(compared, "one@50%", "two@100%", PROMPT)
    assert graphs is not None
    ids = [{node for node in g.node_ids() if node.startswith("feature/")} for g in graphs]
    only_b = sorted(ids[1] - ids[0])[:3]
    assert stored_interventions(compared, graphs, only_b, 0.0) == (None, None)
    sides = {"a": "one@step2", "b": "two@100%", "prompt": PROMPT}
    done = run(compared, Intervene(**sides, features=(*reversed(only_b), only_b[0])), silent, Never())
    a, b = stored_interventions(compared, graphs, only_b, 0.0)
    assert a is not None
    assert b is not None
    assert done == f"{a.key.hash},{b.key.hash}"
    assert (a.changed, a.p_after, a.logit_after) == ((), a.p_before, a.logit_before)
    assert b.changed == tuple(only_b)
    assert not np.allclose(b.logit_after, b.logit_before)
    n_logits = int((graphs[1].kind == NodeKind.LOGIT).sum())
    assert len(b.tokens) == len(b.predicted) == len(b.p_after) == n_logits

    def refuse(*_: object) -> None:
        raise AssertionError("measured again")

    with monkeypatch.context() as patched:
        patched.setattr("engine.attribution.interventions.intervene_on", refuse)
        assert run(compared, Intervene(**sides, features=tuple(only_b)), silent, Never()) == done
    # What was predicted from the edges that are stored is done again
    compared.save_intervention(b.model_copy(update={"uncut": False, "predicted": (9.0,) * n_logits}))
    assert run(compared, Intervene(**sides, features=tuple(only_b)), silent, Never()) == done
    assert compared.intervention(b.key) == b
    assert tried(compared, graphs) == [a, b]
    # The other way round: the same measurements, in the other order
    turned = Intervene(a="two@100%", b="one@50%", prompt=PROMPT, features=tuple(only_b))
    assert run(compared, turned, silent, Never()).split(",") == done.split(",")[::-1]
    assert stored_interventions(compared, graphs, only_b, 0.5) == (None, None)


def test_features_that_no_side_has_are_refused(compared: Store) -> None:
    sides = {"a": "one@50%", "b": "two@100%", "prompt": PROMPT}
    for feature in ("feature/0/1/999999", "<b>", "feature/0/0/1"):
        with pytest.raises(InputError, match="in neither graph"):
            run(compared, Intervene(**sides, features=(feature,)), silent, Never())
    graphs = comparison_graphs(compared, "one@50%", "two@100%", PROMPT)
    assert graphs is not None
    with pytest.raises(InputError, match="is not a feature"):
        run(compared, Intervene(**sides, features=(graphs[0].node_id(graphs[0].n_nodes - 1),)), silent, Never())
    with pytest.raises(NotFound, match="comparison"):
        run(compared, Intervene(**{**sides, "prompt": "the dog"}, features=("feature/0/1/2",)), silent, Never())
