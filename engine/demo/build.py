"""Build the bundled demo from a seed, through the same code that every other run goes through."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from engine.corpus import make_corpus
from engine.demo import recipe
from engine.demo.ablation import ablation_request
from engine.demo.base_model import PRETRAINING, Pretraining, pretrain
from engine.demo.features import add_feature_facts, add_labels_of
from engine.demo.measure import measure
from engine.demo.model_card import model_card
from engine.demo.readings import add_readings
from engine.demo.records import Figures
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.errors import TracelapseError
from engine.domain.jobs import (
    CheckRobustness,
    Compare,
    FindCircuits,
    NeverCanceled,
    Report,
    Timelapse,
    TrainTranscoders,
    Where,
    part,
    quiet,
)
from engine.store import Store, claims
from engine.workflows.corpora import answered_by_base

PACKAGES = ("torch", "transformers", "peft", "circuit-tracer", "transformer-lens", "tokenizers")
# torch's. The bits depend on it, so it does not depend on the machine; two gain little on so small a model, and lose a
# lot where another process wants the cores.
N_THREADS = 1


def build_demo(folder: Path, seed: int, report: Report, *, pretraining: Pretraining = PRETRAINING) -> Figures:
    """Make base model, corpus, both runs, transcoders, graphs and model card in `folder`, which is replaced at the end.

    Under six minutes on two cores. The same seed gives the same weights on the same machine. Returns the figures of the
    model card. Raises TracelapseError where the base model answers too few of the probes.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-building-", dir=folder.parent))
    try:
        # A study takes the better part of an hour: it is carried over, not done again.
        if (folder / "studies").is_dir():
            shutil.copytree(folder / "studies", building / "studies")
        with _torch_threads(N_THREADS):
            figures = _build(building, seed, report, pretraining)
        _swap(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    report(1.0, "Demo built")
    return figures


def _build(folder: Path, seed: int, report: Report, pretraining: Pretraining) -> Figures:
    from engine.training.fine_tune import fine_tune
    from engine.workflows import run

    pretrain(folder / "base", seed, part(report, 0.0, 0.4), settings=pretraining)
    store = Store(folder, bundled=None)
    try:
        spec = recipe.corpus_spec(seed)
        candidates = make_corpus(spec)
        corpus = answerable(store, candidates)
        store.save_corpus(corpus, spec)
        lora, tokens = recipe.run_configs(seed)
        fine_tune(store, lora, part(report, 0.4, 0.53, "demo-lora: "), NeverCanceled())
        fine_tune(store, tokens, part(report, 0.53, 0.63, "demo-tokens: "), NeverCanceled())
        refs = tuple(c.ref for config in (lora, tokens) for c in store.checkpoints(config.name))
        request = TrainTranscoders(name=recipe.TRANSCODERS, checkpoints=refs, training=recipe.transcoder_training(seed))
        run(store, request, part(report, 0.63, 0.88), NeverCanceled())
        add_labels_of(store)
        for number, config in enumerate((lora, tokens)):
            start = 0.88 + 0.01 * number
            add_readings(store, store.run(config.name), part(report, start, start + 0.01), NeverCanceled())
        for number, (a, b) in enumerate(recipe.COMPARISONS):
            start = 0.9 + 0.02 * number
            compare = Compare(a=a, b=b, prompts=recipe.PROMPTS, transcoders=recipe.TRANSCODERS, settings=recipe.TRACING)
            run(store, compare, part(report, start, start + 0.02, f"{a} and {b}: "), NeverCanceled())
        add_acted(store)
        timelapse = timelapse_request(store)
        run(store, timelapse, part(report, 0.94, 0.945, "Time-lapse: "), NeverCanceled())
        add_circuits(store, timelapse.checkpoints, part(report, 0.945, 0.95))
        add_feature_facts(store, store.comparisons())
        run(store, ablation_request(store), part(report, 0.95, 0.96, "Ablation: "), NeverCanceled())
        measured = measure(store, seed, part(report, 0.96, 1.0))
    finally:
        store.close()
        claims.let_go(store.workspace)
    for left in (*folder.glob("index.sqlite*"), *folder.rglob("*.lock")):
        left.unlink()
    shutil.rmtree(folder / claims.FOLDER, ignore_errors=True)
    figures = Figures(seed=seed, versions={p: version(p) for p in PACKAGES}, figures=measured)
    (folder / "figures.json").write_text(figures.to_json(), encoding="utf-8")
    (folder / "README.md").write_text(model_card(figures), encoding="utf-8")
    return figures


def add_acted(store: Store) -> None:
    """Where training acted, of the bundled comparisons."""
    from engine.workflows import run

    for a, b in recipe.COMPARISONS:
        for prompt in recipe.PROMPTS:
            run(store, Where(a=a, b=b, prompt=prompt), quiet, NeverCanceled())


def timelapse_request(store: Store) -> Timelapse:
    """The time-lapse of the default comparison, at TIMELAPSE_STEPS of both runs."""
    a, b = recipe.COMPARISONS[-1]
    checkpoints = [
        c for ref in (a, b) for c in store.checkpoints(ref.partition("@")[0]) if c.step in recipe.TIMELAPSE_STEPS
    ]
    return Timelapse(
        a=a,
        b=b,
        prompt=recipe.PROMPTS[0],
        transcoders=recipe.TRANSCODERS,
        checkpoints=tuple(checkpoint.ref for checkpoint in checkpoints),
    )


def add_circuits(store: Store, checkpoints: tuple[str, ...], report: Report) -> None:
    """Component circuits of these checkpoints with their faithfulness, and how robust they are at the end."""
    from engine.workflows import run

    run(store, FindCircuits(checkpoints=checkpoints), part(report, 0.0, 0.4, "Circuits: "), NeverCanceled())
    for number, ref in enumerate(recipe.COMPARISONS[-1]):
        within = part(report, 0.4 + 0.3 * number, 0.7 + 0.3 * number, "Robustness: ")
        run(store, CheckRobustness(checkpoint=ref), within, NeverCanceled())


def answerable(store: Store, candidates: Corpus) -> Corpus:
    """`candidates` without the probes that the base model fails when the new word is replaced by the known one.

    Raises TracelapseError where fewer than MIN_PROBES stay for a constraint type and kind.
    """
    corpus = answered_by_base(store, candidates)
    counts = Counter((probe.constraint_type, probe.kind) for probe in corpus.probes)
    for constraint_type in candidates.constraint_types:
        for kind in PROBE_KINDS:
            if counts[constraint_type, kind] < recipe.MIN_PROBES:
                raise TracelapseError(
                    f"The base model answers only {counts[constraint_type, kind]} {kind} probes of {constraint_type}; "
                    f"{recipe.MIN_PROBES} are needed. Build with another seed or train it for longer."
                )
    return corpus


@contextmanager
def _torch_threads(n: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`; the old one stays until the new one is there."""
    new.chmod(0o755)  # mkdtemp's folders are closed to others
    old = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
