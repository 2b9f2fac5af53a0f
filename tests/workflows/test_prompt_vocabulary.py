"""The words of a model by kind, and nothing where a tokenizer reads any text."""

import json
import shutil
from pathlib import Path

from engine.store import BUNDLED, Store
from engine.workflows.vocabulary import vocabulary


def test_the_bundled_models_words_by_kind(demo_store: Store) -> None:
    kinds = {kind.kind: kind.words for kind in vocabulary(demo_store, "demo-lora", "demo-tokens")}
    assert "blarf" in kinds["new words"]
    assert "cat" in kinds["nouns"]
    assert "happy" in kinds["feelings"]
    assert "upward" in kinds["directions"]
    words = [word for own in kinds.values() for word in own]
    assert len(words) == len(set(words)) == 383  # all but the four control tokens


def test_a_tokenizer_that_splits_words_has_no_list_of_them(tmp_path: Path) -> None:
    shelf = shutil.copytree(BUNDLED, tmp_path / "demo", ignore=shutil.ignore_patterns("graphs", "components"))
    file = shelf / "base" / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    tokenizer["model"]["type"] = "BPE"
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    assert vocabulary(Store(tmp_path / "ws", bundled=shelf), "demo-lora") == ()
    file.unlink()
    assert vocabulary(Store(tmp_path / "ws", bundled=shelf), "demo-lora") == ()
