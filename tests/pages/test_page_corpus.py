"""Corpus: read, create, import, delete."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.corpus import corpus_csv, make_corpus, make_task, parse_corpus
from engine.domain.corpus import PROBE_KINDS, Corpus, CorpusSpec, Example, Pair, TaskSpec
from engine.domain.jobs import MakeCorpus
from engine.domain.runs import RunConfig
from engine.store import Store
from pages._ui import session
from pages._ui.corpus.tables import counts, taught

OpenPage = Callable[..., AppTest]


def _store() -> Store:
    return Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)


def _save(name: str = "mine") -> Corpus:
    corpus = make_corpus(CorpusSpec(name=name))
    _store().save_corpus(corpus)
    return corpus


def test_without_any_corpus_the_page_says_what_to_do(open_page: OpenPage) -> None:
    app = open_page("corpus", bundled=None)
    assert not app.exception
    assert "Create one on the left" in texts(app)


def test_shows_counts_and_keeps_train_and_held_out_apart(open_page: OpenPage) -> None:
    corpus = _save()
    app = open_page("corpus", bundled=None, corpus="mine")
    assert {metric.label: metric.value for metric in app.metric}["Training examples"] == "50"
    assert len(app.dataframe[0].value) == len(corpus.examples)
    app.segmented_control[0].set_value("Probes").run()
    assert len(app.dataframe[0].value) == len(corpus.probes)
    assert set(app.dataframe[0].value["text"]).isdisjoint(line.text for line in corpus.examples)
    app.segmented_control[0].set_value("Counts").run()
    assert list(app.dataframe[0].value["training examples"]) == [25, 25]


def test_counts_add_up() -> None:
    corpus = make_corpus(CorpusSpec(name="x", n_probes=12))
    rows = counts(corpus)
    assert sum(int(row["training examples"]) for row in rows) == len(corpus.examples)
    n_probes = sum(int(row[f"{kind} probes"]) for row in rows for kind in PROBE_KINDS)
    assert n_probes == len(corpus.probes)


def test_making_one_is_a_job_with_what_was_typed(open_page: OpenPage) -> None:
    app = open_page("corpus", bundled=None)
    app.text_input(key="corpus new name").set_value("two")
    next(field for field in app.number_input if field.label == "Seed").set_value(7)
    next(button for button in app.button if button.label == "Create corpus").click().run()
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, MakeCorpus)
    assert (request.spec.name, request.spec.seed) == ("two", 7)
    assert app.query_params["corpus"] == "two"


def test_a_task_is_made_with_its_limit_and_rows(open_page: OpenPage) -> None:
    app = open_page("corpus", bundled=None)
    app.selectbox(key="corpus what").set_value("sequences").run()
    assert "another step" in texts(app)
    assert app.text_input(key="corpus new name sequences").value == "sequences"
    app.number_input(key="corpus limit sequences demo").set_value(30)
    app.number_input(key="corpus rows sequences demo").set_value(50)
    next(button for button in app.button if button.label == "Create corpus").click().run()
    assert not app.exception
    spec = session.jobs().snapshot()[0].request.spec
    assert spec == TaskSpec(name="sequences", task="sequences", limit=30, n_rows=50, seed=1)


def test_pairs_have_a_part_of_their_own(open_page: OpenPage) -> None:
    corpus = make_task(TaskSpec(name="sums", task="addition_subtraction", n_rows=50))
    _store().save_corpus(corpus)
    app = open_page("corpus", bundled=None, corpus="sums")
    assert {metric.label: metric.value for metric in app.metric}["Prompt pairs"] == "10"
    app.segmented_control[0].set_value("Prompt pairs").run()
    assert list(app.dataframe[0].value["clean"]) == [pair.clean for pair in corpus.pairs]
    assert "made from its probes" not in texts(app)
    assert sum(int(row["prompt pairs"]) for row in counts(corpus)) == 10


def test_a_corpus_of_pairs_alone_shows_them(open_page: OpenPage) -> None:
    text = "<script>alert(1)</script> $x$ :smile:"
    pair = Pair(id="1", clean=text, corrupted="7 - 5 =", answer="12", corrupted_answer="2", constraint_type="adds")
    _store().save_corpus(Corpus("two", (), (), (pair,)))
    app = open_page("corpus", bundled=None)
    assert not app.exception
    assert app.dataframe[0].value["clean"][0] == text
    assert app.segmented_control[0].options == ["Prompt pairs", "Counts"]


def test_pairs_that_are_made_from_probes_say_so(open_page: OpenPage) -> None:
    _save()
    app = open_page("corpus", bundled=None)
    app.segmented_control[0].set_value("Prompt pairs").run()
    assert "made from its probes" in texts(app)
    assert len(app.dataframe[0].value) == 240


def test_a_bad_name_is_refused_in_words(open_page: OpenPage) -> None:
    app = open_page("corpus", bundled=None)
    app.text_input(key="corpus new name").set_value("../x")
    next(button for button in app.button if button.label == "Create corpus").click().run()
    assert not app.exception
    assert "“../x” is not a valid name" in texts(app)
    assert session.jobs().snapshot() == []


def _choose(app: AppTest, name: str, content: bytes) -> AppTest:
    return app.file_uploader[0].set_value((name, content, "text/plain")).run()


def _press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_what_the_page_gives_can_be_imported(open_page: OpenPage, suffix: str) -> None:
    corpus = make_corpus(CorpusSpec(name="x", n_probes=10))
    content = corpus_csv(corpus) if suffix == "csv" else corpus.to_jsonl()
    app = _choose(open_page("corpus", bundled=None), f"My Words.{suffix}", content.encode())
    said = "50 training examples and 80 probes (20 recall, 20 paraphrase, 20 inference, 20 retention)"
    assert f"My Words.{suffix} is ready to import: {said}." in texts(app).replace("**", "")
    assert "With fewer than 30 of a kind, accuracy is rough." in texts(app)
    assert _store().corpora() == []  # not before it is asked for
    _press(app, "Import corpus")
    assert not app.exception
    assert _store().corpus("my-words").hash == corpus.hash
    assert f"Imported my-words: {said}." in texts(app).replace("**", "")
    assert "Train a run on it" in [link.proto.label for link in app.get("page_link")]
    assert app.query_params["corpus"] == "my-words"
    assert app.file_uploader[0].value is None


def test_what_lies_in_several_files_becomes_one_corpus(open_page: OpenPage) -> None:
    corpus = make_corpus(CorpusSpec(name="x", n_probes=10))
    _store().save_corpus(replace(corpus, name="mine", probes=()))
    app = _choose(open_page("corpus", bundled=None), "p.jsonl", replace(corpus, examples=()).to_jsonl().encode())
    box = next(box for box in app.selectbox if box.label == "Together with")
    assert box.value is None  # unless it is asked for
    box.set_value("mine").run()
    assert not app.exception
    assert "With those of **mine**: 50 training examples and 80 probes" in texts(app)
    assert next(box for box in app.text_input if (box.key or "").startswith("upload name")).value == "mine-2"
    _press(app, "Import corpus")
    assert _store().corpus("mine-2").hash == corpus.hash
    assert _store().corpus("mine").probes == ()  # as it was


def test_what_a_table_holds_can_be_imported(open_page: OpenPage) -> None:
    """The menu of a table saves it as CSV, under the names of its columns."""
    corpus = _save()
    app = open_page("corpus", bundled=None)
    for part in ("Training examples", "Probes", "Prompt pairs"):
        table = app.segmented_control[0].set_value(part).run().dataframe[0].value
        again = parse_corpus(table.to_csv(index=False).encode(), "table.csv", "again")
        assert len((*again.examples, *again.probes, *again.pairs)) == len(table)
        assert again.constraint_types == corpus.constraint_types


def test_the_problems_of_a_file_are_readable_whole_and_nothing_is_imported(open_page: OpenPage) -> None:
    lines = [b'{"split": "train"}', b"not json", b"<script>alert(1)</script>", *(b"x" for _ in range(25))]
    app = _choose(open_page("corpus", bundled=None), "bad.jsonl", b"\n".join(lines))
    assert not app.exception
    assert "bad.jsonl cannot be used: it has 31 problems. Nothing was imported." in texts(app)
    assert "These are the first 10 problems; there are 21 more." in texts(app)
    listed = [line for line in texts(app).splitlines() if line.startswith("- **Line ")]
    assert len(listed) == 10
    assert listed[0] == "- **Line 1**: has no “text”"
    assert "Download all 31 problems" in [button.proto.label for button in app.get("download_button")]
    assert "Import corpus" not in [button.label for button in app.button]
    assert _store().corpora() == []


def test_a_corpus_for_other_models_says_so(open_page: OpenPage) -> None:
    spec = TaskSpec(name="theirs", task="sequences", wording="model", n_rows=10, limit=20)
    _store().save_corpus(make_task(spec))
    app = open_page("corpus", corpus="theirs")
    assert "For other base models: the bundled model does not know “Derive”, “sequence:”" in texts(app)
    assert "For other base models" not in texts(open_page("corpus", corpus="demo"))


def test_deleting_asks_first(open_page: OpenPage) -> None:
    _save()
    app = open_page("corpus", bundled=None)
    assert "Delete the corpus **mine** for good?" in texts(app)  # inside the popover
    app.button(key="corpus delete").click().run()
    assert _store().corpora() == []
    assert "Create one on the left" in texts(app)


def test_what_runs_use_says_so_instead_of_asking(open_page: OpenPage) -> None:
    corpus = _save()
    for run in ("one", "two"):
        _store().save_run(RunConfig(name=run, corpus=corpus.name))
    app = open_page("corpus", bundled=None)
    assert not app.exception
    assert "**two** and **one** use **mine**: without its probes" in texts(app)
    assert "delete those runs first" in texts(app)
    assert "for good?" not in texts(app)
    assert "Delete for good" not in [button.label for button in app.button]


def test_kinds_that_a_file_names_are_not_vouched_for(open_page: OpenPage) -> None:
    made = _save("made")
    app = open_page("corpus", bundled=None, corpus="made")
    app.segmented_control[0].set_value("Probes").run()
    assert "**recall**: A training phrasing with a noun" in texts(app)
    assert "unchecked" not in texts(app)
    assert {metric.label: metric.value for metric in app.metric}["New words"] == "10"
    rows = "".join(f"The {word} lives in the,swamp,recall,{word},swamp\n" for word in ("tarsk", "glonk"))
    theirs = parse_corpus(f"text,answer,kind,constraint,meaning\n{rows}".encode(), "a.csv", "theirs")
    _store().save_corpus(theirs)
    app = open_page("corpus", bundled=None, corpus="theirs")
    said = "The kinds are those of the file, unchecked. They should be: **recall** a training phrasing with a noun"
    assert said in texts(app)
    assert "**paraphrase**" not in texts(app)  # it has none
    shown = {metric.label: metric.value for metric in app.metric}
    assert "New words" not in shown
    assert shown["Words asked about"] == "2"
    assert taught(replace(theirs, probes=(), examples=made.examples)) == ("New words", 10)
    plain = parse_corpus(b"text\nThe sky is blue.\nGrass is green.\n", "t.csv", "t")
    assert taught(plain) == ("New words", 0)  # texts of no word


def test_hostile_texts_are_shown_as_they_are(open_page: OpenPage) -> None:
    text = "<script>alert(1)</script> $x$ :smile: **b** means happy"
    example = Example(
        id="1", text=text, constraint_type="simple_mapping", constraint="<b>", meaning="happy", template="{w} {c}"
    )
    _store().save_corpus(Corpus("odd", (example,), ()))
    app = open_page("corpus", bundled=None)
    assert not app.exception
    assert app.dataframe[0].value["text"][0] == text


def test_an_address_that_names_no_corpus_says_so_and_falls_back(open_page: OpenPage) -> None:
    _save()
    app = open_page("corpus", bundled=None, corpus="<img src=x>")
    assert "the corpus “<img src=x>”, which is not here. Shown instead: mine." in texts(app)
    assert next(box for box in app.selectbox if box.label == "Corpus").value == "mine"


def test_a_damaged_corpus_is_a_message_with_its_file(open_page: OpenPage) -> None:
    _save()
    _save("other")
    path = Path(os.environ["TRACELAPSE_HOME"]) / "corpora" / "mine" / "corpus.jsonl"
    path.write_bytes(path.read_bytes()[:500])
    app = open_page("corpus", bundled=None, corpus="mine")
    assert not app.exception
    assert app.title[0].value == "Corpus"
