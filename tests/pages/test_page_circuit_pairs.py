"""Circuits: only pairs that the run's model reads are offered; where there are none, the way to some."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from page_texts import texts
from stored_circuits import PAIR, REFS, keep, store
from streamlit.testing.v1 import AppTest
from tokenizers import Tokenizer, models, pre_tokenizers

from engine.domain.components import FEW_PAIRS
from engine.domain.corpus import Pair
from engine.domain.models import ModelSpec
from engine.store import Store
from pages._ui.circuits.pairs import fitting_corpora, not_fitting
from tests.store.artefacts import add_run, corpus

OpenPage = Callable[..., AppTest]
LONGER = PAIR.model_copy(update={"corrupted": "2 minus 3 is now"})


@pytest.fixture
def own_model(tmp_path: Path) -> ModelSpec:
    """A folder with a tokenizer of whole words, which knows those of PAIR."""
    words = ["<unk>", *f"{LONGER.corrupted} plus 5 1".split()]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"unk_token": "<unk>"}', encoding="utf-8")
    return ModelSpec(name="own", source="folder", location=str(tmp_path))


def with_pairs(model: ModelSpec, **pairs: Pair) -> Store:
    """The run `one` of this model, and a corpus for each of the pairs."""
    made = store()
    add_run(made, model=model)
    for name, pair in pairs.items():
        made.save_corpus(replace(corpus(name), pairs=(pair,)))
    return made


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_only_pairs_that_the_model_reads_are_offered(open_page: OpenPage, own_model: ModelSpec) -> None:
    unknown = PAIR.model_copy(update={"clean": "2 blarf 3 is"})
    made = with_pairs(own_model, a_longer=LONGER, b_unknown=unknown, c_fits=PAIR)
    assert fitting_corpora(made, "one") == ["c_fits"]
    assert set(not_fitting(made, "one")) == {"a_longer", "b_unknown"}
    app = open_page("circuits", bundled=None, run="one")
    assert not app.exception
    assert app.selectbox(key="circuits pairs").options == ["c_fits"]
    assert "With the prompt pairs of “c_fits”, as the run’s own corpus “words” has none." in texts(app)
    assert "Find the circuits of all checkpoints" in labels(app)


def test_where_none_fit_it_is_told_why_and_the_way_leads_to_corpus(open_page: OpenPage, own_model: ModelSpec) -> None:
    with_pairs(own_model, longer=LONGER)
    app = open_page("circuits", bundled=None, run="one")
    assert not app.exception
    assert "There are no prompt pairs for one yet" in texts(app)
    assert "None of the 1 pair of “longer” can be used with this model." in texts(app)
    assert "“clean” has 4 tokens and “corrupted” 5" in texts(app)
    assert "Find the circuits of all checkpoints" not in labels(app)
    next(button for button in app.button if button.label == "Go to Corpus").click().run()
    assert not app.exception
    assert "Corpus" in [title.value for title in app.title]


def test_pairs_that_do_not_fit_are_refused_before_the_job(open_page: OpenPage, own_model: ModelSpec) -> None:
    with_pairs(own_model, longer=LONGER, fits=PAIR)
    app = open_page("circuits", bundled=None, run="one", pairs="longer")
    assert not app.exception
    assert "The pairs of “longer” do not fit the model of one" in texts(app)
    assert "Those of “fits” fit: choose them in Settings" in texts(app)
    assert "Find the circuits of all checkpoints" not in labels(app)
    app.selectbox(key="circuits pairs").select("fits").run()
    assert "Find the circuits of all checkpoints" in labels(app)


def test_a_model_whose_tokenizer_is_not_at_hand_is_offered_all(tmp_path: Path, open_page: OpenPage) -> None:
    with_pairs(ModelSpec(name="own", source="folder", location=str(tmp_path / "gone")), longer=LONGER)
    app = open_page("circuits", bundled=None, run="one")
    assert "Find the circuits of all checkpoints" in labels(app)


def test_pairs_that_circuits_were_found_with_stay(own_model: ModelSpec) -> None:
    made = with_pairs(own_model, sums=LONGER)
    assert fitting_corpora(made, "one") == []
    keep(made, REFS[0], 0)
    assert fitting_corpora(made, "one") == ["sums"]


def test_a_bundled_corpus_comes_last(demo_store: Store) -> None:
    add_run(demo_store, "mine")
    demo_store.save_corpus(replace(corpus("zoo"), pairs=(PAIR,)))
    assert fitting_corpora(demo_store, "mine") == ["zoo", "demo"]


def test_its_own_pairs_come_first_where_enough_of_them_fit(open_page: OpenPage, own_model: ModelSpec) -> None:
    many = [PAIR.model_copy(update={"id": f"fits-{place}"}) for place in range(FEW_PAIRS)]
    made = with_pairs(own_model, other=PAIR)
    made.save_corpus(replace(corpus("mixed"), pairs=(LONGER, *many)))
    made.save_corpus_of_run("one", made.corpus("mixed"))
    assert fitting_corpora(made, "one") == ["mixed", "other"]
    app = open_page("circuits", bundled=None, run="one")
    assert not app.exception
    assert "20 of the 21 prompt pairs of “mixed” are used; the others cannot be with this model. The first of" in texts(
        app
    )
    assert "“clean” has 4 tokens and “corrupted” 5" in texts(app)
    assert "3 checkpoints, 20 prompt pairs each" in texts(app)


def test_where_too_few_of_its_own_fit_others_of_ones_own_come_first(open_page: OpenPage, own_model: ModelSpec) -> None:
    made = with_pairs(own_model, other=PAIR)
    made.save_corpus(replace(corpus("mixed"), pairs=(LONGER, PAIR)))
    made.save_corpus_of_run("one", made.corpus("mixed"))
    assert fitting_corpora(made, "one") == ["other", "mixed"]
    app = open_page("circuits", bundled=None, run="one")
    own = "of the 2 pairs of the run’s own corpus “mixed” only 1 can be used with this model"
    assert f"With the prompt pairs of “other”, as {own}." in texts(app)
