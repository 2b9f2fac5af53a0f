"""Which probes can show what a model learns: right with the known word, and not with the new one before training."""

from dataclasses import replace

from engine.domain.corpus import Corpus
from engine.domain.models import DEMO_MODEL
from engine.models.base import load_base
from engine.store import BUNDLED, Store
from engine.training.probing import run_probes
from engine.workflows.corpora import probes_that_count


def test_a_frame_that_answers_by_itself_and_one_that_never_does_are_left_out(demo_store: Store) -> None:
    loaded = load_base(DEMO_MODEL, BUNDLED / "base")
    probe = next(one for one in demo_store.corpus("demo").probes if one.kind == "inference")
    frame = replace_text(probe, id="frame", text=probe.known_text)  # says it without the new word
    never = replace_text(probe, id="never", known_text=probe.text)
    candidates = Corpus("words", (), (frame, probe, never))
    corpus, gaps = probes_that_count(loaded, candidates)
    assert corpus == replace(candidates, probes=(probe,))
    new = run_probes(loaded.model, loaded.tokenizer, (probe,))
    known = run_probes(loaded.model, loaded.tokenizer, (probe,), use_known=True)
    assert (gaps.floor, gaps.floor_lead) == (new.p, new.logit_diff)
    assert (gaps.ceiling, gaps.ceiling_lead) == (known.p, known.logit_diff)
    assert gaps.floor[0] < 0.1 < gaps.ceiling[0]


def test_where_none_counts_nothing_is_measured(demo_store: Store) -> None:
    loaded = load_base(DEMO_MODEL, BUNDLED / "base")
    probe = next(one for one in demo_store.corpus("demo").probes if one.kind == "inference")
    corpus, gaps = probes_that_count(loaded, Corpus("words", (), (replace_text(probe, known_text=probe.text),)))
    assert corpus.probes == gaps.probe_id == gaps.floor == ()


def replace_text(probe, **changed):
    return probe.model_copy(update=changed)
