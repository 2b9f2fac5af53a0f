"""From what a user writes to what the engine takes."""

from pathlib import Path

import pytest

from engine.cli.inputs import fractions, stored_corpus
from engine.domain.corpus import Corpus, Example
from engine.domain.errors import CorpusRefused, InputError, NameRefused, NotFound
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.store import Store
from engine.workflows.model_specs import model_spec, slug

CSV = "text,constraint_type,constraint,meaning\nthe cat is {w} so it feels happy,simple_mapping,{w},happy\n"


def example_corpus(name: str) -> Corpus:
    text = "the cat is blarf so it feels happy"
    line = Example(
        id="1", text=text, constraint_type="simple_mapping", constraint="blarf", meaning="happy", template="t"
    )
    return Corpus(name, (line,), ())


class TestModelSpec:
    def test_demo_is_the_bundled_model(self) -> None:
        assert model_spec("demo") == DEMO_MODEL

    def test_a_folder_is_named_after_itself(self, tmp_path: Path) -> None:
        folder = tmp_path / "My Model_v2"
        folder.mkdir()
        assert model_spec(str(folder)) == ModelSpec(name="my-model_v2", source="folder", location=str(folder))

    def test_a_hub_id_is_named_after_the_model(self) -> None:
        assert model_spec("google/gemma-2-2b") == ModelSpec(
            name="gemma-2-2b", source="hub", location="google/gemma-2-2b"
        )

    def test_a_known_name_is_that_model(self) -> None:
        known = ModelSpec(name="mine", source="folder", location="/models/mine", dtype="bfloat16")
        assert model_spec("mine", (known,)) is known

    def test_two_places_never_share_a_name(self, tmp_path: Path) -> None:
        for parent in ("one", "two"):
            (tmp_path / parent / "base").mkdir(parents=True)
        first = model_spec(str(tmp_path / "one" / "base"))
        second = model_spec(str(tmp_path / "two" / "base"), (first,))
        assert first.name == "base"
        assert second.name.startswith("base-")
        assert model_spec(str(tmp_path / "one" / "base"), (first,)).name == "base"

    @pytest.mark.parametrize("text", ["./nowhere", "/nowhere", "~/nowhere", "a/b/c", "", "two words", "..\\x"])
    def test_what_is_neither_is_refused(self, text: str) -> None:
        with pytest.raises(InputError, match="is not a model"):
            model_spec(text)


class TestFractions:
    def test_lists_are_read(self) -> None:
        assert fractions("0.25, 0.5,1") == (0.25, 0.5, 1.0)
        assert fractions("") == ()

    @pytest.mark.parametrize("text", ["0", "1.5", "-1", "half", "0.5;1", "nan", "inf"])
    def test_others_are_refused(self, text: str) -> None:
        with pytest.raises(InputError, match="is not a fraction"):
            fractions(text)


class TestSlug:
    def test_anything_becomes_a_name_or_is_refused(self) -> None:
        assert slug("My Corpus (1)") == "my-corpus-1"
        assert slug("../../etc/passwd") == "etc-passwd"
        with pytest.raises(NameRefused):
            slug("///")


class TestStoredCorpus:
    def test_a_file_is_kept_under_its_stem(self, store: Store, tmp_path: Path) -> None:
        file = tmp_path / "Words.csv"
        file.write_text(CSV.format(w="blarf"), encoding="utf-8")
        assert stored_corpus(store, str(file)).name == "words"
        assert stored_corpus(store, str(file)).hash == stored_corpus(store, "words").hash  # a second time is fine

    def test_another_content_under_the_name_is_refused_and_both_are_named(self, store: Store, tmp_path: Path) -> None:
        store.save_corpus(example_corpus("words"))
        file = tmp_path / "words.csv"
        file.write_text(CSV.format(w="gleem"), encoding="utf-8")
        with pytest.raises(InputError, match=r"“words”.*words\.csv"):
            stored_corpus(store, str(file))
        assert store.corpus("words").examples[0].constraint == "blarf"

    def test_a_stored_name_wins_over_nothing(self, store: Store) -> None:
        store.save_corpus(example_corpus("words"))
        assert stored_corpus(store, "words").hash == example_corpus("x").hash
        with pytest.raises(NotFound, match="words"):
            stored_corpus(store, "wrods")

    def test_nothing_of_a_bad_file_is_kept(self, store: Store, tmp_path: Path) -> None:
        file = tmp_path / "bad.csv"
        file.write_text(CSV.format(w="blarf") + "one,two\n", encoding="utf-8")
        with pytest.raises(CorpusRefused, match="line 3"):
            stored_corpus(store, str(file))
        assert [info.name for info in store.corpora()] == []
