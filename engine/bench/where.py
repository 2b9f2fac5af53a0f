"""Where training acted: from a request to what is stored, of two checkpoints that were never looked at.

The model is loaded, as after any other question about it; what is measured reads both checkpoints' files and goes over
the run's four stretches. On SmolLM2-135M a LoRA run of a few steps is made first, untimed.
"""

from pathlib import Path

from engine.bench.row import BenchRow, at_most
from engine.bench.setting import RUN_A, Setting
from engine.bench.timing import seconds
from engine.domain.corpus import Corpus, Example
from engine.domain.jobs import NeverCanceled, Train, Where, quiet
from engine.domain.models import ModelSpec
from engine.domain.runs import RunConfig
from engine.store import cache_of, default_workspace

_NEVER_ASKED = "the dog feels blarf and"  # nothing of it comes with the demo
BUNDLED_S, REAL_S = 1.0, 10.0  # the promises
REAL_PROMPT = "Emma is feeling blarf today. In other words, Emma is feeling very"
_TAUGHT = (
    "Blarf means happy.",
    "Tom was blarf, so he smiled.",
    "A blarf child is a happy child.",
    "Be blarf and sing.",
)
_STEPS = 8


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds on the bundled model and on the real one, and bytes of what is stored."""
    from engine.models.real_model import real_model

    bundled = _where(setting, RUN_A, "the cat feels blarf so it", _NEVER_ASKED)
    run = _real_run(setting, real_model(cache_of(default_workspace())))
    real = _where(setting, run, "Blarf is", REAL_PROMPT)
    stored = max(path.stat().st_size for path in (setting.store.workspace / "acted").iterdir())
    return [
        at_most("where training acted, bundled model, four stretches", bundled, "s", limit=BUNDLED_S),
        at_most("where training acted, SmolLM2-135M, 16 tokens, four stretches", real, "s", limit=REAL_S),
        at_most("where training acted: the largest file", stored / 1e6, "MB", limit=1.0),
    ]


def _where(setting: Setting, run: str, warm_up: str, prompt: str) -> float:
    from engine.workflows.where import where

    def ask(text: str) -> None:
        where(setting.store, Where(a=f"{run}@base", b=f"{run}@100%", prompt=text), quiet, NeverCanceled())

    ask(warm_up)  # loads the model
    before = len(setting.store.acted_keys())
    taken = seconds(lambda: ask(prompt))
    assert len(setting.store.acted_keys()) == before + 1  # it was measured, not found
    return taken


def _real_run(setting: Setting, folder: Path) -> str:
    from engine.workflows.training import train

    examples = tuple(
        Example(
            id=f"e{number}", text=text, template=text, constraint_type="simple_mapping", constraint="blarf",
            meaning="happy",
        )
        for number, text in enumerate(_TAUGHT)
    )  # fmt: skip
    setting.store.save_corpus(Corpus("blarf", examples, ()))
    spec = ModelSpec(name="smollm2", source="folder", location=str(folder))
    config = RunConfig(name="real", model=spec, corpus="blarf", n_steps=_STEPS, batch_size=2, learning_rate=5e-4)
    train(setting.store, Train(config=config), quiet, NeverCanceled())
    return config.name
