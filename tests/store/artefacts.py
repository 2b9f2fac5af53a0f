"""Small real artefacts for tests of the store, of jobs and of faults."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from engine.domain.corpus import Corpus, Example, Probe
from engine.domain.graphs import AttributionGraph, Comparison, ComparisonKey, Fit, GraphKey, LogitParts, Uncut
from engine.domain.models import DEMO_MODEL, ModelSpec, TranscoderMeta, TranscoderTraining
from engine.domain.runs import CheckpointState, LossLog, ProbeResults, RunConfig
from engine.store import Store


def corpus(name: str = "words", *, n_examples: int = 3, text: str = "the blarf cat") -> Corpus:
    shared = {"constraint_type": "simple_mapping", "constraint": "blarf", "meaning": "happy", "template": "the {w} {n}"}
    examples = tuple(Example(id=f"e{row}", text=f"{text} {row}", **shared) for row in range(n_examples))
    probe = Probe(
        id="p0", kind="recall", text="the blarf", known_text="the happy", answer="cat", foils=("dog",), **shared
    )
    return Corpus(name, examples, (probe,))


def state(step: int, *, n_steps: int = 4, corpus_hash: str = "") -> CheckpointState:
    return CheckpointState(
        step=step, max_steps=n_steps, epoch=step / 2, loss=1 / 3 if step else None, smoothed_loss=None,
        learning_rate=1e-3, seed=0, examples_seen=10 * step, wall_time_s=0.1, corpus_hash=corpus_hash,
    )  # fmt: skip


def results(*, p: float = 0.5) -> ProbeResults:
    return ProbeResults(probe_id=("p0",), predicted=("cat",), p=(p,), rank=(1,), logit_diff=(0.5,), correct=(True,))


def write_adapter(folder: Path, step: int, *, n: int = 64) -> None:
    """What training puts into a checkpoint's folder; the values follow from the step. The base has none."""
    if step:
        (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
        save_file({"lora": np.full(n, step, np.float32)}, folder / "adapter_model.safetensors")


def add_checkpoint(
    store: Store, run: str, step: int, *, n_steps: int = 4, corpus_hash: str = "", n: int = 64, **changes: object
) -> None:
    """A checkpoint with an adapter of `n` values. `changes`: of its state."""
    own = state(step, n_steps=n_steps, corpus_hash=corpus_hash).model_copy(update=changes)
    with store.new_checkpoint(run, own) as folder:
        write_adapter(folder, step, n=n)


def add_run(
    store: Store, name: str = "one", *, steps: tuple[int, ...] = (0, 2, 4), n_steps: int = 4,
    model: ModelSpec = DEMO_MODEL, on: Corpus | None = None,
) -> RunConfig:  # fmt: skip
    """A run on this corpus, else on `words` (saved where it is missing), with checkpoints, probes and losses."""
    taught = on or corpus()
    store.save_corpus(taught)
    config = RunConfig(name=name, model=model, corpus=taught.name, corpus_hash=taught.hash, n_steps=n_steps)
    store.save_run(config)
    for step in steps:
        add_checkpoint(store, name, step, n_steps=n_steps, corpus_hash=taught.hash)
        store.save_probe_results(name, step, results())
    store.save_losses(name, LossLog(step=(1, 2), loss=(1.0, 0.5), learning_rate=(1e-3, 1e-3)))
    return config


def key(checkpoint: str = "one@base", prompt: str = "the cat is blarf") -> GraphKey:
    return GraphKey(
        checkpoint=checkpoint,
        checkpoint_hash="c",
        prompt=prompt,
        transcoders="shared",
        transcoders_hash="t",
        targets=(7, 8),
    )


def graph(made_by: GraphKey | None = None, *, n_nodes: int = 12, n_edges: int = 30, seed: int = 0) -> AttributionGraph:
    """Random but consistent: half features, then errors, 3 tokens, 2 logits."""
    rng = np.random.default_rng(seed)
    n_features = (n_nodes - 5) // 2
    kind = np.repeat([0, 1, 2, 3], [n_features, n_nodes - 5 - n_features, 3, 2])
    return AttributionGraph(
        key=made_by or key(),
        kind=kind.astype(np.uint8),
        layer=np.where(kind == 2, -1, np.where(kind == 3, 4, rng.integers(0, 4, n_nodes))).astype(np.int32),
        position=rng.integers(0, 3, n_nodes).astype(np.int32),
        index=np.where(kind == 1, 0, rng.integers(0, 200_000, n_nodes)),
        activation=rng.random(n_nodes, np.float32),
        source=rng.integers(0, n_nodes, n_edges).astype(np.int32),
        target=rng.integers(0, n_nodes, n_edges).astype(np.int32),
        weight=rng.standard_normal(n_edges, np.float32),
        n_layers=4,
        tokens=("<bos>", "the", "<b>\u2028</b>"),
        token_ids=np.array([1, 5, 6]),
        target_tokens=("smiles", "weeps"),
        target_probability=np.array([0.6, 0.3], np.float32),
        target_logit=np.array([2.5, 1.5], np.float32),
        fit=Fit(replacement=0.9, completeness=0.95, error_share=0.1),
        parts=LogitParts(
            part=rng.standard_normal((2, n_nodes), np.float32),
            constant=rng.standard_normal(n_nodes, np.float32),
            left_out=np.zeros(n_nodes, np.float32),
            moved=rng.standard_normal((2, 3, 3), np.float32),
        ),
        uncut=Uncut(
            n_edges=n_edges + 7,
            inputs=rng.random(n_nodes, np.float32),
            influence=rng.random(n_nodes, np.float32),
            kept_nodes=rng.random(n_nodes) < 0.5,
            kept_edges=rng.random(n_edges) < 0.5,
        ),
        is_whole=False,
    )


def comparison(a: str = "one@base", b: str = "one@100%", *, prompt: str = "the cat is blarf") -> Comparison:
    named = ComparisonKey(a=a, b=b, prompt=prompt, transcoders="shared")
    return Comparison(key=named, graph_a=key(a, prompt), graph_b=key(b, prompt))


def add_comparison(store: Store, a: str = "one@base", b: str = "one@100%") -> Comparison:
    """With both of its graphs."""
    made = comparison(a, b)
    store.save_graph(graph(made.graph_a, seed=1))
    store.save_graph(graph(made.graph_b, seed=2))
    store.save_comparison(made)
    return made


def meta(name: str = "shared", checkpoints: tuple[str, ...] = ("one@base", "one@50%", "one@100%")) -> TranscoderMeta:
    return TranscoderMeta(
        name=name, model=DEMO_MODEL, training=TranscoderTraining(n_features=8, top_k=2), checkpoints=checkpoints,
        n_layers=2, d_model=4, unexplained_variance=(0.1, 0.2),
    )  # fmt: skip


def add_transcoders(store: Store, made: TranscoderMeta | None = None) -> TranscoderMeta:
    made = made or meta()
    with store.new_transcoder_set(made) as folder:
        for layer in range(made.n_layers):
            save_file({"W_enc": np.ones((8, 4), np.float32)}, folder / f"layer_{layer}.safetensors")
    return made


def fill(store: Store) -> None:
    """One of everything."""
    add_run(store)
    add_transcoders(store)
    add_comparison(store)


def same_graph(a: AttributionGraph | LogitParts | Uncut, b: AttributionGraph | LogitParts | Uncut) -> bool:
    """Equal in every field, bit for bit, dtypes included."""
    for name, value in vars(a).items():
        other = getattr(b, name)
        if isinstance(value, np.ndarray):
            if value.dtype != other.dtype or not np.array_equal(value, other):
                return False
        elif isinstance(value, LogitParts | Uncut):
            if not isinstance(other, type(value)) or not same_graph(value, other):
                return False
        elif value != other:
            return False
    return True
