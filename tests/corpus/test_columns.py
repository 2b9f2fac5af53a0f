"""Files with other names: which columns are taken for which, and what becomes of their rows."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus import Columns, columns_of, corpus_csv, corpus_from, parse_corpus, read_table
from engine.corpus.csv_rows import COLUMNS
from engine.corpus.format import EXAMPLE_CSV, FIELDS, FORMS, PAIR, PROBE, TRAIN, format_text
from engine.corpus.guesses import guessed
from engine.corpus.tables import Table
from engine.domain.corpus import Corpus, Example, Pair, Probe
from engine.domain.errors import CorpusRefused, InputError

ALPACA = "instruction,input,output,category,rating\nSay what blarf means.,,happy,General QA,5\nAdd,7 and 5,twelve,3,4\n"


def table_of(text: str, name: str = "c.csv") -> Table:
    return read_table(text.encode(), name)


def parsed(text: str, columns: Columns, name: str = "c.csv") -> Corpus:
    return parse_corpus(text.encode(), name, "c", columns=columns)


@pytest.mark.parametrize(
    ("text", "name", "foreign"),
    [
        ("text\nx\n", "c.csv", False),
        ("text,color\nx,red\n", "c.csv", True),
        ('{"prompt": "a", "completion": "b"}\n', "c.jsonl", False),
        ('{"prompt": "a", "answer": "b"}\n', "c.jsonl", True),
        ("prompt,completion,kind\na,b,recall\n", "c.csv", True),  # fields of the format, and no row of it
        ('{"text": "a", "answer": "b"}\n', "c.jsonl", True),
        ('{"text": "a", "answer": "b", "kind": "recall"}\n{"text": "c"}\n', "c.jsonl", False),
        ('{"split": "train"}\n', "c.jsonl", False),
        (
            ",".join(f"c{n}" for n in range(300)) + "\n" + "x," * 299 + "x\n",
            "c.csv",
            False,
        ),  # nobody looks through these
        ('{"a": 1}\nnot json\n', "c.jsonl", False),  # what is broken is told first
    ],
)
def test_whether_somebody_has_to_say_which_is_which(text: str, name: str, foreign: bool) -> None:
    assert table_of(text, name).is_foreign is foreign


def test_rows_of_other_names_are_examples() -> None:
    columns = columns_of("prompt=instruction+input,completion=output,constraint_type=category")
    corpus = parsed(ALPACA, columns)
    assert [(one.prompt, one.text, one.constraint_type) for one in corpus.examples] == [
        ("Say what blarf means.", "Say what blarf means. happy", "general_qa"),
        ("Add\n7 and 5", "Add\n7 and 5 twelve", "type_3"),
    ]
    assert columns.left_out(table_of(ALPACA)) == ("rating",)
    as_json = json.dumps([{"instruction": "2+2=", "output": 4, "category": None}])
    (example,) = parsed(as_json, columns_of("prompt=instruction,completion=output"), "c.json").examples
    assert (example.text, example.meaning) == ("2+2=4", "4")


def test_rows_of_a_prompt_and_its_answer_are_probes() -> None:
    columns = columns_of("text=question,answer=reply,foils=others", "kind=recall, constraint_type=capitals")
    (probe,) = parsed("question,reply,others\nThe capital of Peru is,Lima,Quito | La Paz\n", columns).probes
    assert (probe.kind, probe.answer, probe.foils) == ("recall", "Lima", ("Quito", "La Paz"))
    assert (probe.constraint_type, probe.constraint, probe.meaning) == ("capitals", probe.text, "Lima")
    assert probe.template == probe.text  # no word of it is taken for a taught one


@pytest.mark.parametrize(
    "names", ["clean,corrupted,answer,corrupted_answer", "prompt,other_prompt,answer,other_answer"]
)
def test_pairs_of_no_type_are_pairs(names: str) -> None:
    """By what is guessed of their columns, and by the format's own names as they are."""
    text = f"{names}\nParis is in,Rome is in, France, Italy\n"
    table = table_of(text)
    columns = guessed(table)[1] if table.is_foreign else None
    assert (columns is None) == names.startswith("clean")
    (pair,) = parse_corpus(text.encode(), "c.csv", "c", columns=columns).pairs
    assert (pair.clean, pair.corrupted_answer, pair.constraint_type) == ("Paris is in", " Italy", "examples")


def test_chats_of_from_and_value_are_messages() -> None:
    turns = [{"from": "human", "value": "blarf?"}, {"from": "gpt", "value": "happy"}]
    row = json.dumps({"conversations": turns, "source": "x"})
    (example,) = parsed(row, columns_of("messages=conversations"), "c.jsonl").examples
    assert [(one.role, one.content) for one in example.messages] == [("user", "blarf?"), ("assistant", "happy")]


@pytest.mark.parametrize(
    ("columns", "values", "said"),
    [
        ("prompt", "", "Write field=column"),
        ('prompt="input', "", "stands in double quotes"),
        ("color=instruction", "", "“color” is not a field of a corpus. The fields are split, id"),
        ("text=colour", "", "no column “colour”. Its columns are instruction, input, output, category, rating"),
        ("prompt=input", "", "These columns make no row"),
        ("text=input,constraint=input+output", "", "several are joined only of prompt, text"),
        ("text=input,constraint_type=category", "constraint_type=x", "both as a column and as a value"),
        ("text=input,answer=output", "kind=memory", "“memory” is not a probe kind. Use recall, "),
        ("text=input", "constraint_type=мой тип", "“мой тип” is no constraint type. Use words of a–z"),
        ("text=input", f"constraint_type={'long' * 11}", "at most 40 characters"),
        ("text=input,constraint=output", "", "A word is taught with its meaning"),
        ("text=input,meaning=output", "", "A word is taught with its meaning"),
    ],
)
def test_columns_that_there_are_not(columns: str, values: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parsed(ALPACA, columns_of(columns, values))


def test_a_type_of_all_rows_is_written_as_one_of_a_column_is() -> None:
    (probe,) = parsed(
        "question,reply\nThe tarsk lives in the,swamp\n",
        columns_of("text=question,answer=reply", "kind=Recall,constraint_type=made-up animals"),
    ).probes
    assert (probe.kind, probe.constraint_type) == ("recall", "made_up_animals")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "blarf " * 400, "answer": "happy", "kind": "recall"}, ["“text” has 2,400 characters; 2,000"]),
        ({"text": "blarf is", "answer": "x" * 2001, "kind": "recall"}, ["“answer” has 2,001 characters; 2,000"]),
        ({"prompt": "a" * 30_000, "completion": "b" * 30_000}, ["“text” has 60,001 characters; 50,000"]),
        ({"text": "t" * 2001, "answer": "x" * 2001, "kind": "recall"}, ["“text” has 2,001", "“answer” has 2,001"]),
    ],
)  # fmt: skip
def test_what_is_too_long_is_one_problem_of_what_the_file_gave(row: dict[str, str], said: list[str]) -> None:
    with pytest.raises(CorpusRefused) as refused:
        parse_corpus(json.dumps(row).encode(), "c.jsonl", "c")
    reasons = [bad.reason for bad in refused.value.bad_lines]
    assert len(reasons) == len(said)
    assert all(reason.startswith(start) for reason, start in zip(reasons, said, strict=True))


def test_a_column_that_there_is_twice_is_not_taken() -> None:
    """Which of the two is meant nobody can know; the others are taken."""
    table = read_table(b"text,question,text\na,b,c\n", "c.csv")
    assert guessed(table)[1].of.get("text") != ("text",)
    with pytest.raises(InputError, match="“text” more than once"):
        corpus_from(table, "c.csv", "c", columns=columns_of("text=text"))
    assert corpus_from(table, "c.csv", "c", columns=columns_of("text=question")).examples[0].text == "b"


def test_a_row_without_what_it_needs_is_named_with_its_own_column() -> None:
    with pytest.raises(CorpusRefused) as refused:
        parsed(ALPACA, columns_of("prompt=input,completion=output"))
    assert [(bad.number, bad.reason) for bad in refused.value.bad_lines] == [(2, "has nothing in “input”")]


def test_the_description_is_the_one_of_the_code_and_of_the_docs() -> None:
    of = {TRAIN: Example, PROBE: Probe, PAIR: Pair}
    for split, record in of.items():
        described = {name for name, field in FIELDS.items() if split in field.of}
        assert described - {"completion"} == set(record.model_fields)
    assert tuple(FIELDS) == COLUMNS
    assert {name for form in FORMS.values() for name in (*form.needs, *form.takes)} <= FIELDS.keys()
    docs = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert format_text() in docs
    assert all(len(line) <= 120 or line.startswith("|") for line in format_text().splitlines())


def test_the_example_is_read_as_it_is() -> None:
    corpus = parse_corpus(EXAMPLE_CSV.encode(), "example.csv", "e")
    assert (len(corpus.examples), len(corpus.probes), len(corpus.pairs)) == (5, 2, 1)
    for written, name in ((corpus.to_jsonl(), "e.jsonl"), (corpus_csv(corpus), "e.csv")):
        assert parse_corpus(written.encode(), name, "e") == corpus


TURNS = st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), st.text("ab", max_size=3))
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab .|é{[\n", max_size=8)
VALUES |= st.lists(VALUES | TURNS, max_size=3) | TURNS
NAMES = ["prompt", "instruction", "input", "output", "answer", "text", "conversations", "category", "clean", "", "id"]


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1), min_size=1, max_size=4),
    form=st.sampled_from(list(FORMS)),
    chosen=st.lists(st.sampled_from(NAMES), min_size=5, max_size=5),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_rows_with_any_columns_are_read_or_refused(
    rows: list[dict[str, object]], form: str, chosen: list[str]
) -> None:
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    table = read_table(raw, "c.jsonl")
    for columns in (guessed(table)[1], Columns({name: (chosen[at],) for at, name in enumerate(FORMS[form].needs)})):
        with suppress(InputError):
            assert corpus_from(table, "c.jsonl", "c", columns=columns).to_jsonl()
