"""What a file of other names is taken for: training texts, probes or pairs, and which of its columns are which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.corpus import Columns, columns_of, corpus_from, read_table
from engine.corpus.columns import columns_text, values_text
from engine.corpus.guesses import guessed
from engine.corpus.tables import Table


def table_of(text: str, name: str = "c.csv") -> Table:
    return read_table(text.encode(), name)


@pytest.mark.parametrize(
    ("header", "form", "columns"),
    [
        ("instruction,input,output,category", "completion",
         "prompt=instruction+input,completion=output,constraint_type=category"),
        ("Prompt,Response", "completion", "prompt=Prompt,completion=Response"),
        ("question,answer", "completion", "prompt=question,completion=answer"),
        ("id,input,target", "completion", "prompt=input,completion=target"),
        ("title,body", "text", "text=body"),
        ("conversations", "messages", "messages=conversations"),
        ("clean_prompt,corrupted_prompt,answer,wrong_answer,type", "pair",
         "clean=clean_prompt,corrupted=corrupted_prompt,answer=answer,corrupted_answer=wrong_answer,constraint_type=type"),
        ("prompt,other_prompt,answer,other_answer", "pair",
         "clean=prompt,corrupted=other_prompt,answer=answer,corrupted_answer=other_answer"),
        ("a,b", "text", ""),
    ],
)  # fmt: skip
def test_columns_are_guessed_by_their_usual_names(header: str, form: str, columns: str) -> None:
    table = table_of(f"{header}\n{','.join('x' for _ in header.split(','))}\n")
    assert table.is_foreign
    likely, found = guessed(table)
    assert (likely, columns_text(found)) == (form, columns)


@pytest.mark.parametrize(
    ("text", "columns", "values"),
    [
        ("prompt,answer,type\nThe cat is,happy,recall\n", "text=prompt,answer=answer,kind=type", ""),
        ("Prompt,Right Answer,Probe Kind\na,b,Recall\nc,d,not known\n",
         "text=Prompt,answer=Right Answer,kind=Probe Kind", ""),
        ('{"passage":"x","question":"a","target":"b","category":"inference","topic":"maps"}\n{"category":"recall"}\n',
         "text=question,answer=target,kind=category,constraint_type=topic", ""),
        ("prompt,completion,kind\na,b,paraphrase\n", "text=prompt,answer=completion,kind=kind", ""),
        ("probe,expected,type,word,meaning\nblarf is,happy,recall,blarf,happy\n",
         "text=probe,answer=expected,kind=type,constraint=word,meaning=meaning", ""),
        ("question,correct,distractors\na,b,c|d\n", "text=question,answer=correct,foils=distractors", "kind=recall"),
        ("text,answer\na,b\n", "text=text,answer=answer", "kind=recall"),
        ('{"text":"a","answer":"b"}\n', "text=text,answer=answer", "kind=recall"),
        ("text,kind\na,recall\n", "text=text,kind=kind", ""),  # what is missing is asked for
    ],
)  # fmt: skip
def test_rows_with_a_kind_or_wrong_answers_are_probes(text: str, columns: str, values: str) -> None:
    table = table_of(text, "c.csv" if "," in text.splitlines()[0] and text[0] != "{" else "c.jsonl")
    assert table.is_foreign
    form, found = guessed(table)
    assert (form, columns_text(found), values_text(found)) == ("probe", columns, values)


@pytest.mark.parametrize(
    ("text", "form", "columns"),
    [
        ("question,answer,type\nWho?,me,general\n", "completion",
         "prompt=question,completion=answer,constraint_type=type"),
        ("text,label\nfine,1\n", "text", "text=text"),
        ("question,correct_answer\na,b\n", "completion", "prompt=question,completion=correct_answer"),
        ("instruction,output,task\na,b,inference\n", "completion",
         "prompt=instruction,completion=output,constraint_type=task"),
        ("text,question,answer\na,b,c\n", "completion", "prompt=question,completion=answer"),
        ("clean_prompt,corrupt_prompt,clean_answer,corrupt_answer\na,b,c,d\n", "pair",
         "clean=clean_prompt,corrupted=corrupt_prompt,answer=clean_answer,corrupted_answer=corrupt_answer"),
        ("clean,corrupted\na,b\n", "pair", "clean=clean,corrupted=corrupted"),
        ("text,subject\na,Who Discovered The Structure Of All These Atoms\n", "text", "text=text"),  # no type
    ],
)  # fmt: skip
def test_other_rows_are_none(text: str, form: str, columns: str) -> None:
    likely, found = guessed(table_of(text))
    assert (likely, columns_text(found), found.values) == (form, columns, {})


def test_kinds_are_read_however_they_are_capitalized() -> None:
    table = table_of("prompt,answer,type\na b,c,Recall\nd e,f, inference \n")
    probes = corpus_from(table, "c.csv", "c", columns=guessed(table)[1]).probes
    assert [probe.kind for probe in probes] == ["recall", "inference"]


@pytest.mark.parametrize("name", ["question, asked", "a+b", "a=b", 'the "right" one', '"', "c, \"d\"+e='f'"])
def test_a_name_with_signs_is_read_back(name: str) -> None:
    columns = Columns({"prompt": (name, "input"), "completion": (name,)}, {"constraint_type": name})
    assert columns_of(columns_text(columns), values_text(columns)) == columns


@given(st.lists(st.text('ab ,+="\n', min_size=1, max_size=6), min_size=1, max_size=3))
def test_any_names_are_read_back(names: list[str]) -> None:
    columns = Columns({"prompt": tuple(names), "completion": (names[0],)})
    assert columns_of(columns_text(columns)) == columns


def test_names_without_quotes_are_read_as_they_always_were() -> None:
    said = columns_of(" prompt = instruction + input ,completion=a=b")
    assert said.of == {"prompt": ("instruction", "input"), "completion": ("a=b",)}
