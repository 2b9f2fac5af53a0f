"""Compare says of a prompt what the base of an imported run has no token for."""

import json
from collections.abc import Callable
from pathlib import Path

from page_texts import texts
from streamlit.testing.v1 import AppTest
from tokenizers import Tokenizer, models, pre_tokenizers

from engine.domain.models import DEMO_MODEL
from engine.domain.runs import CheckpointState, RunConfig
from engine.store import BUNDLED, Store

OpenPage = Callable[..., AppTest]


def imported(workspace: Path) -> None:
    """A run whose tokenizer has “wug” behind the two tokens of its base."""
    store = Store(workspace, bundled=BUNDLED)
    words = Tokenizer(models.WordLevel({"the": 0, "cat": 1, "wug": 2}, unk_token="the"))  # noqa: S106 (no password)
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = workspace / "made"
    made.mkdir(parents=True)
    words.save(str(made / "tokenizer.json"))
    (made / "added.json").write_text(json.dumps({"n_base": 2}), encoding="utf-8")
    store.save_vocabulary("abc-def", made)
    model = DEMO_MODEL.model_copy(update={"vocabulary": "abc-def"})
    store.save_run(RunConfig(name="mine", model=model, corpus="none", n_steps=5, capture=(1.0,), imported=True))
    for step in (0, 5):
        state = CheckpointState(
            step=step, max_steps=5, epoch=0, loss=None, smoothed_loss=None, learning_rate=None, seed=0,
            examples_seen=0, wall_time_s=0, corpus_hash="",
        )  # fmt: skip
        with store.new_checkpoint("mine", state):
            pass


def test_a_token_that_the_base_lacks_is_said(open_page: OpenPage, tmp_path: Path) -> None:
    imported(tmp_path / "workspace")
    said = "The base has no token “wug”"
    assert said in texts(open_page("compare", a="mine@base", b="mine@100%", prompt="the wug"))
    assert said not in texts(open_page("compare", a="mine@base", b="mine@100%", prompt="the cat"))
