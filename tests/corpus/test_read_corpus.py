"""Import of corpora: what is written can be read back, and a bad file is refused whole, line by line."""

import json
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus import check_corpus, corpus_csv, make_corpus, make_task, parse_corpus, read_corpus
from engine.corpus.text_lines import MAX_BYTES, MAX_LINES
from engine.corpus.unseen import unseen
from engine.domain.corpus import Corpus, CorpusSpec, TaskSpec
from engine.domain.errors import CorpusRefused, InputError, NameRefused, NotFound

EXAMPLE = {
    "split": "train",
    "id": "e1",
    "text": "a blarf dog is happy .",
    "constraint_type": "simple_mapping",
    "constraint": "blarf",
    "meaning": "happy",
    "template": "a {w} {n} is {c} .",
}
PROBE = {
    "split": "probe",
    "id": "p1",
    "kind": "inference",
    "text": "the cat feels blarf and",
    "known_text": "the cat feels happy and",
    "answer": "smiles",
    "foils": ["cries"],
    "constraint_type": "simple_mapping",
    "constraint": "blarf",
    "meaning": "happy",
    "template": "the {n} feels {w} and",
}


def jsonl(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def read(tmp_path, content, name="corpus.jsonl"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_corpus(path, "mine")


def refusals(tmp_path, content, name="corpus.jsonl"):
    with pytest.raises(CorpusRefused) as refused:
        read(tmp_path, content, name)
    return [(bad.number, bad.reason) for bad in refused.value.bad_lines]


def test_a_made_corpus_comes_back_equal(tmp_path):
    corpus = make_corpus(CorpusSpec(name="mine"))
    assert read(tmp_path, corpus.to_jsonl()) == corpus
    assert read(tmp_path, b"\xef\xbb\xbf" + corpus.to_jsonl().replace("\n", "\r\n").encode()) == corpus


def test_csv_brings_training_examples(tmp_path):
    text = 'text,constraint_type,constraint,meaning\n"a blarf dog, is happy .",simple_mapping,blarf,happy\n\n'
    text += '"two\nlines happy",simple_mapping,blarf,happy\n'
    corpus = read(tmp_path, text, "corpus.csv")
    assert [e.text for e in corpus.examples] == ["a blarf dog, is happy .", "two\nlines happy"]
    assert [e.id for e in corpus.examples] == ["train-2", "train-4"]
    assert corpus.examples[0].template == "a {w} dog, is {c} ."
    assert corpus.probes == ()


def test_csv_takes_optional_columns_and_any_order(tmp_path):
    text = "id,meaning,constraint,constraint_type,text,template\nx,happy,blarf,simple_mapping,blarf happy,{w} {c}\n"
    (example,) = read(tmp_path, text, "corpus.CSV").examples
    assert (example.id, example.template) == ("x", "{w} {c}")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('"text"', "is not a JSON object"),
        ("{}", "is not an example, a probe or a pair"),
        ("[" * 100_000, "is not JSON"),
        ('{"split": "train", "id": ' + "9" * 5000 + "}", "is not JSON"),
        (json.dumps({**EXAMPLE, "split": "test"}), "“split” is “test”; use train, probe or pair"),
        (json.dumps({**EXAMPLE, "split": ["train"]}), "“split” is ['train']"),
        (json.dumps({k: v for k, v in EXAMPLE.items() if k != "meaning"}), "has no “meaning”"),
        (json.dumps({**EXAMPLE, "extra": 1}), "has “extra”, which is not a field of a training example"),
        (json.dumps({**EXAMPLE, "text": 5}), "“text” is 5, which is not a text"),
        (json.dumps({**EXAMPLE, "text": ""}), "“text” is empty"),
        (json.dumps({**EXAMPLE, "text": "happy " * 9000}), "“text” has 54,000 characters; 50,000 are allowed"),
        (json.dumps({**PROBE, "text": "happy " * 500}), "“text” has 3,000 characters; 2,000 are allowed"),
        (
            json.dumps({**EXAMPLE, "constraint_type": "No Slug"}),
            "“No_Slug”; use up to 40 lowercase letters",
        ),
        (json.dumps({**EXAMPLE, "text": "a blarf dog"}), "does not contain its meaning “happy”"),
        (json.dumps({**EXAMPLE, "meaning": " "}), "“meaning” is blank"),
        (json.dumps({**PROBE, "kind": "guess"}), "“kind”: “guess” is not a probe kind. Use recall"),
        (json.dumps({**PROBE, "foils": ["smiles"]}), "also one of its foils"),
        (json.dumps({**PROBE, "foils": "cries"}), "“foils” is “cries”, which is not a list of texts"),
        (json.dumps({**PROBE, "text": "\ud800"}), "is not JSON"),
    ],
)
def test_each_kind_of_bad_line_is_named_with_its_number(tmp_path, line, reason):
    found = refusals(tmp_path, jsonl({**EXAMPLE, "id": "good", "text": "blarf means happy ."}) + "\n" + line + "\n")
    assert [number for number, _ in found] == [3] * len(found)
    assert any(reason in text for _, text in found), found


def test_every_bad_line_is_reported_at_once(tmp_path):
    content = jsonl(EXAMPLE, {**EXAMPLE, "id": "e2"}, {**EXAMPLE, "text": "so happy"}, PROBE).encode() + b"\xff\xfe\n{"
    assert refusals(tmp_path, content) == [
        (2, "the training text “a blarf dog is happy .” is already in line 1"),
        (3, "the id “e1” is already in line 1"),
        (5, "is not UTF-8 (byte 0xff in column 1). Save the file as UTF-8"),
        (6, "is not JSON (EOF while parsing an object at column 1)"),
    ]


@pytest.mark.parametrize("text", ["a blarf dog is", "blarf dog", "a  blarf dog is happy .", "a"])
def test_a_probe_that_stands_in_a_training_text_is_refused(tmp_path, text):
    found = refusals(tmp_path, jsonl(EXAMPLE, {**PROBE, "text": text}))
    assert found == [(2, "the prompt is part of the training text in line 1")]
    assert check_corpus(_unchecked(EXAMPLE, {**PROBE, "text": text}))[0] == f"p1: {found[0][1]}"


def test_a_prompt_that_only_shares_letters_with_a_training_text_is_taken(tmp_path):
    corpus = read(tmp_path, jsonl(EXAMPLE, {**PROBE, "text": "larf dog"}))
    assert len(corpus.probes) == 1


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.csv"])
@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, name, content):
    ((number, reason),) = refusals(tmp_path, content, name)
    assert number == 1
    assert "no examples" in reason or "empty" in reason


@pytest.mark.parametrize(
    ("content", "number", "reason"),
    [
        ("text,meaning\na,b\n", 1, "has no column constraint"),
        ("text,constraint_type,constraint,meaning,color\n", 1, "unknown column “color”"),
        ("text,constraint_type,constraint,meaning,text\n", 1, "names a column twice"),
        ("text,constraint_type,constraint,meaning\n", 1, "no examples"),
        ("text,constraint_type,constraint,meaning\na,b\n", 2, "has 2 cells; the first line names 4 columns"),
        ('text,constraint_type,constraint,meaning\na,b,c,a\n"a', 3, "is not CSV"),
        ('text,constraint_type,constraint,meaning\n"a"x,b,c,a\n', 2, "is not CSV"),
        ("text,constraint_type,constraint,meaning\na,B C,c,a\n", 2, "“constraint_type” is “B_C”"),
        (
            "text,constraint_type,constraint,meaning\n,b,c,a\n",
            2,
            "it has “constraint_type”, “constraint”, “meaning”. Write “text”",
        ),
        ("text,constraint_type,constraint,meaning\nz,b,c,a\n", 2, "does not contain its meaning"),
        ("text,constraint_type,constraint,meaning\na,b,c,a\na,b,c,a\n", 3, "is already in line 2"),
        ("text,constraint_type,constraint,meaning\n" + "a" * 200_000 + ",b,c,a\n", 2, "is not CSV"),
    ],
)
def test_bad_csv_is_refused_with_line_and_reason(tmp_path, content, number, reason):
    found = refusals(tmp_path, content, "corpus.csv")
    assert any(n == number and reason in text for n, text in found), found


def test_texts_with_commas_and_no_quotes_are_refused_with_the_mend(tmp_path):
    ((number, reason),) = refusals(tmp_path, "text\nHello, world\nBye\n", "corpus.csv")
    mend = "Put a cell that holds the dividing sign in double quotes"
    assert (number, reason) == (2, f"has 2 cells; the first line names 1 column. {mend}")


def test_huge_files_are_refused_quickly(tmp_path):
    start = time.monotonic()
    ((_, reason),) = refusals(tmp_path, b"a" * (MAX_BYTES + 1))
    assert "20 MB" in reason
    ((number, reason),) = refusals(tmp_path, b"x\n" * (MAX_LINES + 5))
    assert number == MAX_LINES + 1
    assert "100,000 are allowed" in reason
    assert time.monotonic() - start < 5


def test_a_long_file_of_bad_lines_is_refused_whole(tmp_path):
    assert len(refusals(tmp_path, "x\n" * 5000)) == 5000


def test_what_is_no_file_and_no_name(tmp_path):
    with pytest.raises(NotFound, match=r"no\.jsonl"):
        read_corpus(tmp_path / "no.jsonl", "mine")
    with pytest.raises(InputError, match="cannot be read"):
        read_corpus(tmp_path, "mine")
    (tmp_path / "corpus.jsonl").write_text(jsonl(EXAMPLE), encoding="utf-8")
    with pytest.raises(NameRefused):
        read_corpus(tmp_path / "corpus.jsonl", "../mine")


@given(content=st.binary(max_size=400), suffix=st.sampled_from([".jsonl", ".csv"]))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("bytes") / f"corpus{suffix}"
    path.write_bytes(content)
    with pytest.raises(CorpusRefused) as refused:
        read_corpus(path, "mine")
    assert refused.value.bad_lines


def test_findings_on_a_weak_corpus():
    weak = _unchecked(EXAMPLE, {**PROBE, "template": EXAMPLE["template"]})
    findings = check_corpus(weak)
    assert (
        "simple mapping has few probes (0 recall, 0 paraphrase, 1 inference, 0 retention). "
        "With fewer than 30 of a kind, accuracy is rough."
    ) in findings
    assert any("count as held-out phrasings" in finding for finding in findings)
    assert check_corpus(Corpus("none", (), ())) == [
        "It has no training examples, so nothing can be trained on it.",
        "It has no probes, so a run on it has a loss but no accuracy.",
    ]


def _unchecked(example, probe):
    from engine.domain.corpus import Example, Probe

    return Corpus("c", (Example(**example),), (Probe(**probe),))


def a_corpus_of_everything():
    """Words and a task: examples with and without prompts, probes of every kind, pairs."""
    words = make_corpus(CorpusSpec(name="mine", n_probes=10))
    task = make_task(TaskSpec(name="mine", task="addition_subtraction", n_rows=20, n_retention=0))
    return Corpus("mine", words.examples + task.examples, words.probes, task.pairs)


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl"])
def test_what_is_downloaded_can_be_imported(name):
    corpus = a_corpus_of_everything()
    written = corpus_csv(corpus) if name.endswith(".csv") else corpus.to_jsonl()
    back = parse_corpus(written.encode(), name, "mine")
    assert back == corpus
    assert back.hash == corpus.hash


def _is_seen(text):
    line = [(1, text.replace("\n", " ").replace("\r", " "))]
    return not unseen(line, escapes=False) and unicodedata.is_normalized("NFC", text)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(_is_seen)
texts |= st.sampled_from(["\n", "a\r\nb", '"', "a\tb", ";,|"])


@given(text=texts, word=texts, foils=st.lists(texts.map(lambda t: t + "x"), max_size=3, unique=True))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_text_comes_back_from_csv(text, word, foils):
    example = {**EXAMPLE, "text": f"{text}happy", "constraint": f"b{word}"}
    probe = {**PROBE, "text": f"the cat is {text}blarf, so", "answer": f"{word}-", "foils": tuple(foils)}
    corpus = _unchecked(example, probe)
    assert parse_corpus(corpus_csv(corpus).encode(), "c.csv", "c") == corpus


def test_a_constraint_type_may_be_written_as_pages_write_it():
    text = "text,constraint_type,constraint,meaning\nblarf means happy .,simple mapping,blarf,happy\n"
    (example,) = parse_corpus(text.encode(), "mine.csv", "mine").examples
    assert example.constraint_type == "simple_mapping"


def test_csv_takes_examples_probes_and_pairs_with_what_is_needed_alone():
    text = (
        "text,kind,answer,foils,clean,corrupted,corrupted_answer,constraint_type,constraint,meaning\n"
        "a blarf dog is happy .,,,,,,,feelings,blarf,happy\n"
        "the cat feels blarf and,inference,smiles,cries | races,,,,feelings,blarf,happy\n"
        ",,smiles,,a blarf cat,a gleem cat,cries,feelings,,\n"
    )
    corpus = parse_corpus(text.encode(), "mine.csv", "mine")
    (example,), (probe,), (pair,) = corpus.examples, corpus.probes, corpus.pairs
    assert (example.id, probe.id, pair.id) == ("train-2", "probe-3", "pair-4")
    assert (probe.kind, probe.foils, probe.template) == ("inference", ("cries", "races"), "the cat feels {w} and")
    assert probe.known_text == probe.text
    assert (pair.clean, pair.corrupted_answer) == ("a blarf cat", "cries")


@pytest.mark.parametrize(
    "text",
    [
        "text;constraint_type;constraint;meaning\nso, blarf is happy;feelings;blarf;happy\n",
        "text\tconstraint_type\tconstraint\tmeaning\nso, blarf is happy\tfeelings\tblarf\thappy\n",
        "sep=;\r\ntext;constraint_type;constraint;meaning\r\nso, blarf is happy;feelings;blarf;happy\r\n",
        'sep=,\nText,Constraint_Type,Constraint,Meaning\n"so, blarf is happy",feelings,blarf,happy\n',
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_spreadsheets_write_csv_in_several_ways(text, mark):
    (example,) = parse_corpus(mark + text.encode(), "mine.csv", "mine").examples
    assert example.text == "so, blarf is happy"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04rest", "a spreadsheet or a zip archive. Save it as CSV"),
        (b"split,text,answer,constraint_type,constraint,meaning\ntrain,a b c,x,t,b,c\n", "has “answer”, which is not"),
        (b"clean,corrupted,answer,constraint_type\na,b,c,t\n", "has no column corrupted_answer"),
        (b"text,,constraint_type,constraint,meaning\na b c,0,t,b,c\n", "has a column without a name"),
        (b",text,constraint_type,constraint,meaning\nx,a b c,t,b,c\n", "has “x” in the column without a name"),
    ],
)
def test_what_a_file_is_instead_is_said(content, reason):
    with pytest.raises(CorpusRefused, match=reason):
        parse_corpus(content, "mine.csv", "mine")
