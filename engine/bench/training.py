"""Fine-tuning through transformers' Trainer with our callbacks, against a bare PyTorch loop of the same steps.

Both sides load the base model, attach the same LoRA and run the same number of steps on the same corpus. What
captures cost is measured by runs that differ in nothing else, and taken out of our side.
"""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.bench.row import BenchRow, at_most, not_slower
from engine.bench.setting import CORPUS, Setting
from engine.bench.timing import medians
from engine.domain.jobs import NeverCanceled
from engine.domain.runs import RunConfig

if TYPE_CHECKING:
    from engine.store import Store

N_STEPS, EVERY = 150, 15
N_MORE = N_STEPS // EVERY - 1  # captures beyond the last step's
ROUNDS = 3


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds of a run without captures against the bare loop; seconds of one capture with all probes."""
    store, names = setting.store, (f"bench-{turn}" for turn in itertools.count())

    def ours(every: int | None) -> None:
        _fine_tune(store, RunConfig(name=next(names), corpus=CORPUS, n_steps=N_STEPS, capture=(), capture_every=every))

    few, many, bare = medians((lambda: ours(None), lambda: ours(EVERY), lambda: _bare_loop(store)), rounds=ROUNDS)
    capture = max(0.0, many - few) / N_MORE
    return [
        # the run without more captures still has two: the base and the last step
        not_slower(f"fine-tune {N_STEPS} steps, captures excluded", few - 2 * capture, "s", than=bare, times=1.3),
        at_most("a capture with all probes", capture, "s", limit=1.5),
    ]


def _fine_tune(store: "Store", config: RunConfig) -> None:
    from engine.training.fine_tune import fine_tune

    fine_tune(store, config, _quiet, NeverCanceled())


def _bare_loop(store: "Store") -> None:
    """The same work with nothing around it: no progress, no losses kept, nothing saved."""
    import torch

    from engine.domain.models import DEMO_MODEL
    from engine.models.base import load_base
    from engine.training.methods import METHODS
    from engine.training.texts import collator, training_rows

    config = RunConfig(name="bare", corpus=CORPUS)
    corpus = store.corpus(CORPUS)
    loaded = load_base(DEMO_MODEL, store.base_folder(DEMO_MODEL))
    method = METHODS[config.method]
    model = method.attach(loaded.model, config, loaded.tokenizer, corpus).train()
    rows = training_rows(loaded.tokenizer, corpus, limit=loaded.n_positions)
    collate = collator(loaded.tokenizer.pad_token_id)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=method.default_learning_rate, weight_decay=0.0)
    for picked in itertools.islice(_batches(len(rows), config.batch_size), N_STEPS):
        optimizer.zero_grad()
        model(**collate([rows[row] for row in picked])).loss.backward()
        optimizer.step()


def _batches(n_rows: int, size: int) -> Iterator[list[int]]:
    """Row numbers of batch after batch, in a new order every epoch, without end."""
    import torch

    generator = torch.Generator().manual_seed(0)
    while True:
        order = torch.randperm(n_rows, generator=generator).tolist()
        yield from (order[start : start + size] for start in range(0, n_rows, size))


def _quiet(fraction: float, message: str) -> None:
    """Progress that nobody reads."""
