"""One corpus in the ways that people's files come: read where it is unambiguous, else refused with line and mend."""

import json
import time
import unicodedata

import pytest

from engine.corpus import corpus_csv, parse_corpus
from engine.domain.corpus import Corpus
from engine.domain.errors import CorpusRefused

ROW = {"constraint_type": "simple_mapping", "constraint": "blarf", "meaning": "happy"}
ROWS = [
    {"id": f"t{i}", "text": text, **ROW} for i, text in enumerate(("blarf means happy .", "a blarf cat is happy ."))
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = 'text,constraint_type,constraint,meaning\n"the ""blarf"" cat, so happy",simple_mapping,blarf,happy\n'


def parsed(content: str | bytes, name: str = "c.jsonl") -> Corpus:
    return parse_corpus(content if isinstance(content, bytes) else content.encode(), name, "c")


def refusal(content: str | bytes, name: str = "c.jsonl") -> list[tuple[int, str]]:
    with pytest.raises(CorpusRefused) as refused:
        parsed(content, name)
    return [(bad.number, bad.reason) for bad in refused.value.bad_lines]


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode("utf-16"), LINES.encode("utf-16-le"), LINES.encode("utf-16-be"), LINES.encode("utf-32"),
        b"\xfe\xff" + LINES.encode("utf-16-be"), b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\r").encode(), json.dumps(ROWS, indent=1).encode(), json.dumps(ROWS).encode(),
        LINES.replace("}\n", "},\n").encode(), ("[\n" + LINES.replace("}\n", "},\n") + "]\n").encode(),
        ("\n\n" + LINES.replace("\n", "\n\n")).encode(), LINES.rstrip("\n").encode(),
        "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
    ],
)  # fmt: skip
def test_json_lines_and_arrays_in_any_encoding_are_one_corpus(content: bytes) -> None:
    assert parsed(content).hash == parsed(LINES).hash


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode("utf-16"), CSV.encode("utf-16-le"), b"\xef\xbb\xbf" + CSV.encode(), CSV.replace("\n", "\r").encode(),
        ("," + CSV.replace('\n"', '\n0,"')).encode(), b"sep=,\n" + CSV.encode(),
        CSV.replace("\n", ",,\n").encode(),
        b'text|meaning|constraint|constraint_type\n"the ""blarf"" cat, so happy"|happy|x|y',
    ],
)  # fmt: skip
def test_csv_in_any_encoding_is_one_corpus(content: bytes) -> None:
    assert [example.text for example in parsed(content, "c.csv").examples] == ['the "blarf" cat, so happy']


@pytest.mark.parametrize(
    ("sign", "name"),
    [
        ("\\u0000", "U+0000 (NUL)"), ("\u200b", "U+200B (ZERO WIDTH SPACE)"), ("\\u200b", "U+200B (ZERO WIDTH SPACE)"),
        ("\u202e", "U+202E (RIGHT-TO-LEFT OVERRIDE)"), ("\u00ad", "U+00AD (SOFT HYPHEN)"), ("\u2028", "U+2028"),
        ("\ufe0f", "U+FE0F (VARIATION SELECTOR-16)"), ("\u200d", "U+200D (ZERO WIDTH JOINER)"),
        ("\u3164", "U+3164 (HANGUL FILLER)"), ("\\u001f", "U+001F"), ("\ufffe", "U+FFFE"),
    ],
)  # fmt: skip
def test_a_character_that_nobody_sees_is_told_with_its_place_and_mend(sign: str, name: str) -> None:
    content = LINES.replace("a blarf", f"a bl{sign}arf")
    column = content.split("\n")[1].index(sign) + 1
    number, said = refusal(content)[0]
    assert number == 2
    assert said.startswith(f"has the invisible character {name}")
    assert said.endswith(f"in column {column}. Delete it")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"meaning": "happy"', '"meaning": "sad", "meaning": "happy"', "has the key “meaning” twice (again in column "),
        ("blarf means", "\\ud83d blarf means", "Write the character itself, or both halves of it"),
        ('happy"}', 'happy",}', "Delete the comma"),
        ('"', "'", "Write keys and texts in double quotes"),
    ],
)
def test_broken_json_is_told_with_its_mend(old: str, new: str, reason: str) -> None:
    number, said = refusal(LINES.replace(old, new))[0]
    assert number == 1
    assert reason in said


def test_an_array_that_breaks_off_is_told_with_its_line() -> None:
    whole = json.dumps(ROWS, indent=1)
    ((number, reason), *_) = refusal(whole[: whole.index('"t1"')])
    assert number == whole[: whole.index('"t1"')].count("\n") + 1
    assert reason.endswith("nothing after it was read")
    assert refusal(whole + "\nx") == [(whole.count("\n") + 1, "has more behind the end of the array. Delete it")]
    assert refusal("[1, 2]")[0][1].startswith("is not a JSON object")
    assert refusal("[" * 100_000)[0][1].startswith("is not JSON")


@pytest.mark.parametrize(
    "text", ["می\u200cخواهم", "क्\u200dष", "👩\u200d👩\u200d👧", "❤\ufe0f", "1\ufe0f\u20e3", "葛\U000e0100", "a\u3000b"]
)
def test_what_a_script_or_an_emoji_needs_is_taken(text: str) -> None:
    row = {**ROWS[0], "text": f"blarf {text} happy"}
    for ascii_only in (True, False):
        assert text in parsed(json.dumps(row, ensure_ascii=ascii_only)).examples[0].text


def test_accents_stand_one_way_in_a_file() -> None:
    composed, apart = ({**ROWS[0], "text": unicodedata.normalize(form, "blarf café happy")} for form in ("NFC", "NFD"))
    other = {**ROWS[1], "text": "a blarf é happy"}
    for one in (composed, apart):
        assert parsed(json.dumps(one, ensure_ascii=False)).examples[0].text == one["text"]
    for ascii_only in (True, False):
        lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in (other, apart))
        ((number, reason),) = refusal(lines)
        assert number == 2
        assert "has “é” as a letter and its mark apart in column 32" in reason
        assert "Unicode NFC" in reason
    mixed = f"{CSV}blarf {unicodedata.normalize('NFD', 'é')} and é happy,simple_mapping,blarf,happy\n"
    assert [number for number, _ in refusal(mixed, "c.csv")] == [3]


def test_the_first_ten_problems_are_said_and_how_many_more() -> None:
    with pytest.raises(CorpusRefused) as refused:
        parsed("x\n" * 1234)
    said = str(refused.value)
    assert said.count("line ") == 10
    assert said.endswith("; and 1,224 more")


def test_what_training_scripts_have_are_examples() -> None:
    rows = [
        {"text": "blarf means happy ."},
        {"prompt": "2+3=", "completion": "5"},
        {"prompt": "The sky is", "completion": " blue", "id": 7},
        {"messages": [{"role": "user", "content": "blarf?"}, {"role": "assistant", "content": "happy"}]},
    ]
    corpus = parsed("".join(json.dumps(row) + "\n" for row in rows))
    assert [(one.text, one.prompt) for one in corpus.examples] == [
        ("blarf means happy .", ""), ("2+3=5", "2+3="), ("The sky is blue", "The sky is"),
        ("user: blarf?\nassistant: happy", "user: blarf?\nassistant: "),
    ]  # fmt: skip
    assert {one.constraint_type for one in corpus.examples} == {"examples"}
    assert [(one.id, one.constraint, one.meaning) for one in corpus.examples[2:]] == [
        ("7", "The sky is", "blue"), ("train-4", "blarf?", "happy"),
    ]  # fmt: skip
    assert [message.role for message in corpus.examples[3].messages] == ["user", "assistant"]
    for written, name in ((corpus.to_jsonl(), "c.jsonl"), (corpus_csv(corpus), "c.csv")):
        assert parsed(written, name).hash == corpus.hash
    assert [one.text for one in parsed("prompt,completion\n2+3=,5\n", "c.csv").examples] == ["2+3=5"]
    assert [one.text for one in parsed("text\nblarf\n", "c.csv").examples] == ["blarf"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"instruction": "x", "output": "y"},
            "it has “instruction”, “output”. Write “text”, “prompt” and",
        ),
        ({"prompt": "x", "completion": ["y"]}, "must both be texts; write chats as “messages”"),
        ({"messages": [{"role": "user", "content": "x"}]}, "must end with what the assistant answers"),
        ({"messages": "x"}, "“messages” must be a list"),
        ({"messages": []}, "must end with what the assistant answers"),
        ({"prompt": "  ", "completion": "y"}, "“prompt” is blank"),
        ({"prompt": "x", "completion": " "}, "“completion” is blank"),
        ({"text": " "}, "“text” is blank"),
        ({"text": "x", "kind": "recall", "answer": " "}, "“answer” is blank"),
        ({"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "y"}]}, "has a blank before"),
        ({"version": 2, "data": [{"text": "x"}]}, "has its rows in “data”"),
        ({"text": ["x", "y"], "id": ["1", "2"]}, "has columns instead of rows"),
        ({"text": {"0": "x"}, "id": {"0": "1"}}, "has columns instead of rows"),
        ({"a1": {"text": "x"}, "a2": {"text": "y"}}, "has columns instead of rows"),
        ({"prompt": {"text": "x"}, "completion": {"text": "y"}}, "must both be texts"),
        ({"messages": {"role": "user", "content": "x"}}, "“messages” must be a list"),
        ({"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": "y"}]}, "see 0.content"),
    ],
)
def test_what_is_no_example_says_what_would_be(row: dict[str, object], reason: str) -> None:
    ((number, said),) = refusal(json.dumps(row))
    assert number == 1
    assert reason in said


def test_of_a_file_that_is_neither_json_nor_a_table_one_mend_is_told() -> None:
    ((_, said),) = refusal("the cat is happy .\nthe dog is sad .\n", "texts.txt")
    assert "name ends in “.txt”, so it is read as JSON, and it is none" in said
    assert parsed(LINES, "lines.txt").hash == parsed(LINES).hash


def test_a_filled_cell_in_a_column_without_a_name_is_not_dropped() -> None:
    ((number, said),) = refusal(CSV.replace("\n", ",\n", 1).replace("happy\n", "happy,x\n"), "c.csv")
    assert number == 1
    assert "a column without a name" in said


def test_a_foil_that_is_the_answer_with_its_blank_written_out() -> None:
    probe = {"text": "the cat is", "kind": "recall", "answer": "happy", "foils": ["sad", " happy"]}
    assert refusal(json.dumps(probe)) == [(1, "the answer “happy” is also one of its foils")]
    chinese = {"text": "首都は", "kind": "recall", "answer": "東京", "foils": [" 東京"]}  # other tokens
    assert parsed(json.dumps(chinese)).probes


def test_a_large_array_is_read_in_time() -> None:
    many = [{"id": f"t{i}", "text": f"blarf {i} happy", **ROW} for i in range(20_000)]
    start = time.monotonic()
    assert len(parsed(json.dumps(many, indent=1)).examples) == 20_000
    assert time.monotonic() - start < 10
