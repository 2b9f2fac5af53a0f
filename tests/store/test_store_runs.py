"""Runs, checkpoints and what was measured; corpora, models and transcoder sets."""

import os
from pathlib import Path

import pytest

from engine.domain.corpus import Corpus, CorpusSpec
from engine.domain.errors import Damaged, InputError, NameRefused, NotFound
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.domain.runs import LossLog, RunConfig
from engine.store import Store
from tests.store.artefacts import add_checkpoint, add_run, add_transcoders, corpus, meta, results, state, write_adapter


def test_a_corpus_comes_back_as_it_was(store: Store) -> None:
    made = corpus(text="line\u2028separator, \x85 and “quotes”")
    store.save_corpus(made, CorpusSpec(name="words", seed=3))
    assert store.corpus("words") == made
    [info] = store.corpora()
    assert (info.hash, info.n_examples, info.n_probes, info.bundled) == (made.hash, 3, 1, False)
    assert info.constraint_types == ("simple_mapping",)
    spec = store.workspace / "corpora" / "words" / "spec.json"
    assert CorpusSpec.model_validate_json(spec.read_text(encoding="utf-8")).seed == 3
    store.save_corpus(made)  # again: nothing to do
    with pytest.raises(InputError, match="another corpus"):
        store.save_corpus(corpus(n_examples=2))
    assert store.corpus("words") == made


def test_an_empty_corpus(store: Store) -> None:
    store.save_corpus(Corpus("none", (), ()))
    assert store.corpus("none") == Corpus("none", (), ())


def test_a_bad_line_is_named(store: Store) -> None:
    store.save_corpus(corpus())
    path = store.workspace / "corpora" / "words" / "corpus.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], lines[1][:-5], *lines[2:]]) + "\n", encoding="utf-8")
    with pytest.raises(Damaged, match="line 2") as caught:
        store.corpus("words")
    assert str(path) in str(caught.value)


def test_a_corpus_that_runs_need_stays(store: Store) -> None:
    add_run(store, "one")
    with pytest.raises(InputError, match="is used by one"):
        store.delete_corpus("words")
    store.delete_run("one")
    store.delete_corpus("words")
    assert store.corpora() == []
    with pytest.raises(NotFound):
        store.delete_corpus("words")


def test_models(store: Store) -> None:
    assert store.models() == [DEMO_MODEL]
    gemma = ModelSpec(name="gemma", source="hub", location="google/gemma-2-2b")
    store.save_model(gemma)
    store.save_model(gemma.model_copy(update={"dtype": "bfloat16"}))
    assert store.model("gemma").dtype == "bfloat16"
    assert [spec.name for spec in store.models()] == ["demo", "gemma"]
    assert store.model("demo") == DEMO_MODEL
    with pytest.raises(NotFound, match="gemma"):
        store.model("other")


def test_base_folders(tmp_path: Path) -> None:
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    assert store.base_folder(DEMO_MODEL) == tmp_path / "demo" / "base"
    assert store.base_folder(ModelSpec(name="m", source="folder", location=str(tmp_path))) == tmp_path
    building = Store(tmp_path / "demo", bundled=tmp_path / "demo")  # the demo itself is being made
    assert building.bundled is None
    assert building.base_folder(DEMO_MODEL) == tmp_path / "demo" / "base"


def test_a_run_and_its_checkpoints(store: Store) -> None:
    config = add_run(store, "one", steps=(4, 0, 2, 1))
    assert store.run("one") == config
    assert [(point.step, point.ref) for point in store.checkpoints("one")] == [
        (0, "one@base"), (1, "one@25%"), (2, "one@50%"), (4, "one@100%"),
    ]  # fmt: skip
    assert store.checkpoint("one@step2") == store.checkpoint("one@50%")
    assert store.checkpoint("one@base").adapter is None
    assert store.checkpoint("one@50%").adapter == store.run_folder("one") / "checkpoints" / "step-000002"
    assert store.checkpoint("one@50%").state.loss == 1 / 3
    with pytest.raises(NotFound, match="one@base, one@25%, one@50%, one@100%"):
        store.checkpoint("one@75%")
    with pytest.raises(NotFound, match="one"):
        store.checkpoint("two@base")
    assert set(store.probe_results("one")) == {0, 1, 2, 4}
    assert store.probe_results("one")[2] == results()
    assert store.losses("one").step == (1, 2)
    [info] = store.runs()
    assert (info.name, info.steps, info.finished, info.bundled) == ("one", (0, 1, 2, 4), True, False)
    assert store.check() == []


def test_a_taken_name_is_refused_and_the_run_stays(store: Store) -> None:
    config = add_run(store, "one")
    with pytest.raises(InputError, match="already exists"):
        store.save_run(RunConfig(name="one", corpus="other"))
    assert store.run("one") == config
    assert store.check() == []


def test_measured_again(store: Store) -> None:
    add_run(store, "one")
    store.save_probe_results("one", 2, results(p=0.75))
    assert store.probe_results("one")[2].p == (0.75,)
    with pytest.raises(NotFound):
        store.save_probe_results("one", 3, results())


def test_a_run_without_measurements(store: Store) -> None:
    store.save_run(RunConfig(name="new", corpus="words"))
    assert store.losses("new") == LossLog()
    assert store.probe_results("new") == {}
    assert store.checkpoints("new") == []
    assert not store.runs()[0].finished


def test_a_checkpoint_that_fails_is_not_there(store: Store) -> None:
    add_run(store, "one", steps=(0,))

    def fail_halfway() -> None:
        with store.new_checkpoint("one", state(2)) as folder:
            write_adapter(folder, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert [point.step for point in store.checkpoints("one")] == [0]
    assert [path.name for path in (store.run_folder("one") / "checkpoints").iterdir()] == ["step-000000"]


def test_a_checkpoint_states_what_the_store_was_given(store: Store) -> None:
    """Also where a folder that was copied in has files of these names."""
    add_run(store, "one", steps=(0,))
    with store.new_checkpoint("one", state(2), results(p=0.25)) as folder:
        (folder / "state.json").write_text("{}", encoding="utf-8")
        (folder / "probes.json").write_text("{}", encoding="utf-8")
    assert store.checkpoint("one@step2").state == state(2)
    assert store.probe_results("one")[2] == results(p=0.25)
    assert store.captured_steps("one") == {0, 2}


def test_when_probes_were_measured(store: Store) -> None:
    add_run(store, "one", steps=(0, 2))
    with store.new_checkpoint("one", state(4)):
        pass
    before = store.probe_times("one")
    assert [step for step, _ in before] == [0, 2, 4]
    assert [time > 0 for _, time in before] == [True, True, False]
    store.save_probe_results("one", 4, results())
    assert store.probe_times("one")[:2] == before[:2]
    assert store.probe_times("one")[2][1] > 0


def test_columns_of_unequal_length_are_damage(store: Store) -> None:
    add_run(store, "one", steps=(0,))
    store.save_probe_results("one", 0, results().model_copy(update={"rank": (1, 2)}))
    with pytest.raises(Damaged, match="columns are not of equal length"):
        store.probe_results("one")


def test_resume_state(store: Store) -> None:
    add_run(store, "one")
    assert not store.resume_folder("one").exists()
    for text in ("a", "b"):
        with store.new_resume_state("one") as folder:
            (folder / "trainer_state.json").write_text(text, encoding="utf-8")
    assert (store.resume_folder("one") / "trainer_state.json").read_text(encoding="utf-8") == "b"
    assert not store.runs()[0].finished
    store.delete_resume_state("one")
    store.delete_resume_state("one")
    assert store.runs()[0].finished
    assert store.check() == []


def test_an_imported_run_is_finished(store: Store) -> None:
    store.save_run(RunConfig(name="theirs", corpus="words", n_steps=10, imported=True))
    add_checkpoint(store, "theirs", 7, n_steps=10)
    assert store.runs()[0].finished
    assert store.checkpoint("theirs@70%").ref == "theirs@70%"


def test_newest_runs_come_first_and_the_demo_last(tmp_path: Path) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    add_run(demo, "shown")
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    for age, name in enumerate(("c", "a", "b")):
        path = store.save_run(RunConfig(name=name, corpus="words")) / "run.json"
        os.utime(path, (1000 - age, 1000 - age))
    store.sync()
    assert [info.name for info in store.runs()] == ["c", "a", "b", "shown"]
    assert store.runs()[0].created_at == 1000


def test_state_of_another_step(store: Store) -> None:
    add_run(store, "one")
    checkpoints = store.run_folder("one") / "checkpoints"
    (checkpoints / "step-000002").rename(checkpoints / "step-000003")
    store.sync()
    with pytest.raises(Damaged, match="it is of step 2"):
        store.checkpoint("one@75%")
    with pytest.raises(NotFound):
        store.checkpoint("one@50%")
    assert [point.step for point in store.checkpoints("one")] == [0, 4]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "one"}', '{"name": "two", "corpus": "words"}'])
def test_a_damaged_run_is_named_and_hides_nothing_else(store: Store, text: str) -> None:
    add_run(store, "one")
    add_run(store, "two")
    path = store.run_folder("one") / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Damaged) as caught:
        store.run("one")
    assert str(path) in str(caught.value)
    store.rebuild()
    assert [info.name for info in store.runs()] == ["two"]


def test_a_run_copied_by_hand(store: Store) -> None:
    add_run(store, "one")
    import shutil

    shutil.copytree(store.run_folder("one"), store.workspace / "runs" / "copy")
    with pytest.raises(Damaged, match="it says “one”, but is stored as “copy”"):
        store.run("copy")


def test_a_run_in_training_is_not_deleted(store: Store) -> None:
    from engine.domain.jobs import Train
    from engine.jobs.journal import Journal

    config = add_run(store, "one")
    journal = Journal(store)
    record = journal.open(Train(config=config), "Train one")
    journal.write(record.model_copy(update={"state": "running"}))
    with pytest.raises(InputError, match="being trained"):
        store.delete_run("one")
    journal.write(record.model_copy(update={"state": "done"}))
    store.delete_run("one")
    assert store.runs() == []


def test_transcoder_sets(store: Store) -> None:
    add_run(store, "one")
    made = add_transcoders(store)
    assert store.transcoder_set("shared") == made
    assert (store.transcoder_folder("shared") / "layer_1.safetensors").exists()
    assert add_transcoders(store) == made  # the same again
    with pytest.raises(InputError, match="already"):
        add_transcoders(store, meta(checkpoints=("one@base",)))
    assert store.transcoder_sets() == store.transcoder_sets("demo") == [made]
    assert store.transcoder_sets("other") == []
    with pytest.raises(NotFound, match="shared"):
        store.transcoder_set("missing")
    assert store.check() == []


def test_the_newest_set_that_has_seen_all(store: Store) -> None:
    add_run(store, "one")
    add_run(store, "two")
    old = add_transcoders(store, meta("old"))
    os.utime(store.transcoder_folder("old") / "set.json", (1000, 1000))
    store.sync()
    new = add_transcoders(store, meta("new", ("one@base", "one@100%", "two@100%")))
    assert store.transcoders_for(["one@100%", "one@base"]) == new
    assert store.transcoders_for(["one@50%"]) == old
    assert store.transcoders_for(["two@base", "two@100%"]) == new  # the base is the same in every run of a model
    assert store.transcoders_for(["one@50%", "two@100%"]) is None
    with pytest.raises(NotFound):
        store.transcoders_for(["three@base"])


def test_a_set_of_another_model_explains_nothing(store: Store) -> None:
    add_transcoders(store)
    other = ModelSpec(name="other", source="hub", location="a/b")
    store.save_run(RunConfig(name="theirs", corpus="words", model=other))
    assert store.transcoders_for(["theirs@base"]) is None


def test_no_set_claims_to_have_seen_a_deleted_run(store: Store) -> None:
    add_run(store, "one")
    add_run(store, "two")
    add_transcoders(store, meta("both", ("one@base", "one@100%", "two@100%")))
    store.delete_run("one")
    add_run(store, "one")  # again, with other weights
    assert store.transcoder_set("both").checkpoints == ("two@100%",)
    assert store.transcoders_for(["one@100%"]) is None
    assert store.check() == []


def test_open_takes_the_argument_then_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACELAPSE_HOME", str(tmp_path / "home"))
    assert Store.open().workspace == tmp_path / "home"
    assert Store.open(tmp_path / "given").workspace == tmp_path / "given"
    with pytest.raises(NameRefused):
        Store.open(str(tmp_path / "given")).run("../x")
