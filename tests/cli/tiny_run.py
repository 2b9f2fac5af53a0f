"""A run of a tiny model, trained by the command line from files."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner, Result

from engine.cli.app import app
from engine.domain.corpus import Corpus, Example, Probe
from engine.domain.jobs import TrainTranscoders
from engine.domain.models import TranscoderTraining
from engine.jobs import run_inline
from engine.store import Store
from tests.tiny import tiny_llama

PROMPT = "the cat feels blarf and"
Run = Callable[..., Result]


def corpus() -> Corpus:
    nouns = ("cat", "dog", "bird", "fox")
    shared = {"constraint_type": "simple_mapping", "constraint": "blarf", "meaning": "happy"}
    examples = tuple(
        Example(id=f"e{i}", text=f"the {noun} is blarf so it feels happy .", template="the {n} is {w}", **shared)
        for i, noun in enumerate(nouns)
    )
    probe = Probe(
        id="p0", kind="inference", text=PROMPT, known_text="the cat feels happy and", answer="smiles",
        foils=("cries", "slow"), template="the {n} feels {w} and", **shared,
    )  # fmt: skip
    return Corpus("tiny-words", examples, (probe,))


def trained_run(folder: Path) -> Run:
    """Commands in one workspace, in which the run `tiny` was trained from files."""
    (folder / "tiny-words.jsonl").write_text(corpus().to_jsonl(), encoding="utf-8")
    tiny_llama(folder / "tiny-llama")

    def call(*args: object) -> Result:
        words = [str(arg).replace("FOLDER", str(folder)) for arg in args]
        return CliRunner().invoke(app, ["--workspace", str(folder / "workspace"), *words], catch_exceptions=False)

    trained = call(
        "train", "--model", "FOLDER/tiny-llama", "--corpus", "FOLDER/tiny-words.jsonl", "--method", "lora",
        "--steps", 4, "--capture", "0.5", "--batch-size", 2, "--name", "tiny", "--json", "FOLDER/train.json",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert "tiny@50%" in trained.stdout
    small = TranscoderTraining(n_features=32, top_k=4, n_steps=20, n_texts=50)
    seen = TrainTranscoders(name="small", checkpoints=("tiny@base", "tiny@50%", "tiny@100%"), training=small)
    run_inline(Store(folder / "workspace"), seen, on_progress=lambda *_: None)
    call.folder = folder  # type: ignore[attr-defined]
    return call
