"""The registry of probe kinds: one record and one row of phrasings, and a kind is everywhere."""

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.corpus import make_corpus
from engine.corpus.make import CLOZES
from engine.corpus.templates import INFERENCE
from engine.domain.corpus import PROBE_KINDS, Corpus, CorpusSpec, Probe, ProbeKindInfo, probe_kind
from engine.domain.errors import InputError
from pages._ui.compare.data import ordered_prompts
from pages._ui.corpus.tables import counts

ROOT = Path(__file__).parents[2]
TRANSFER = ProbeKindInfo(
    name="transfer",
    title="transfer",
    help="In another language.",
    color="#123456",
    mark="diamond",
    badge="gray",
    picker_rank=0,
)


@pytest.fixture
def transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBE_KINDS, "transfer", TRANSFER)
    monkeypatch.setitem(CLOZES, "transfer", INFERENCE.__getitem__)


def _probe(kind: str, text: str = "the cat feels blarf and") -> Probe:
    return Probe(
        id=f"{kind} {text}", kind=kind, text=text, known_text=text, answer="smiles", foils=(),
        constraint_type="feelings", constraint="blarf", meaning="happy", template="the {n} feels {w} and",
    )  # fmt: skip


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"“guess” is not a probe kind. Use recall, paraphrase, inference, retention"):
        probe_kind("guess")
    with pytest.raises(ValidationError, match="not a probe kind"):
        _probe("guess")


@pytest.mark.usefixtures("transfer")
def test_a_new_kind_is_made_counted_picked_and_drawn() -> None:
    assert probe_kind("transfer") == "transfer"
    made = make_corpus(CorpusSpec(name="c", n_probes=5))
    assert sum(probe.kind == "transfer" for probe in made.probes) == 10
    (row,) = counts(Corpus("c", (), (_probe("transfer"),)))
    assert row["transfer probes"] == 1
    probes = {probe.text: probe for probe in (_probe("inference"), _probe("transfer", "the dog feels blarf and"))}
    assert ordered_prompts(probes, []) == ["the dog feels blarf and", "the cat feels blarf and"]


def test_every_kind_that_is_made_is_in_the_registry() -> None:
    assert list(CLOZES) == list(PROBE_KINDS)
    assert len({info.color for info in PROBE_KINDS.values()}) == len(PROBE_KINDS)
    assert len({info.mark for info in PROBE_KINDS.values()}) == len(PROBE_KINDS)
    assert sorted(info.picker_rank for info in PROBE_KINDS.values()) == list(range(1, len(PROBE_KINDS) + 1))


def test_a_kind_is_added_in_three_files() -> None:
    """The registry, how its probes are made, and the phrasings: nothing else lists kinds that say nothing by name."""
    files = subprocess.run(["git", "ls-files", "engine", "pages"], cwd=ROOT, capture_output=True, text=True, check=True)
    sources = [ROOT / name for name in files.stdout.split() if name.endswith(".py")]
    listing = re.compile(r'"recall",?\s*(?:"paraphrase"|:)|"retention"\s*:|"recall"\s*:')
    lists = {str(path.relative_to(ROOT)) for path in sources if listing.search(path.read_text(encoding="utf-8"))}
    assert lists <= {
        "engine/domain/corpus.py",
        "engine/corpus/make.py",
        "engine/corpus/templates.py",
        "engine/corpus/english.py",
    }
