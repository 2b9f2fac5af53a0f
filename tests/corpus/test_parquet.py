"""Parquet: read as the same rows in JSON are; what is broken, too large or hostile is refused with a sentence."""

import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from engine.corpus import columns_of, parse_corpus, read_table
from engine.corpus.parquet import parquet_lines
from engine.corpus.tables import MAX_BYTES
from engine.domain.errors import CorpusRefused

ROWS = [
    {"id": "a", "text": "blarf means\nhappy .", "constraint_type": "x", "constraint": "blarf", "meaning": "happy"},
    {"id": "b", "text": "a blarf cat", "kind": "recall", "answer": "smiles", "foils": ["cries", "races"],
     "constraint_type": "x", "constraint": "blarf", "meaning": "happy"},
]  # fmt: skip


def written(columns: Mapping[str, Sequence[Any] | pa.Array], **options: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), out, **options)
    return out.getvalue()


def file_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    names = dict.fromkeys(name for row in rows for name in row)
    return written({name: [row.get(name) for row in rows] for name in names})


def refused(raw: bytes) -> str:
    with pytest.raises(CorpusRefused) as error:
        parse_corpus(raw, "c.parquet", "c")
    return error.value.bad_lines[0].reason


def test_it_is_the_corpus_of_the_same_rows_in_json() -> None:
    as_json = "".join(json.dumps(row) + "\n" for row in ROWS)
    for name in ("c.parquet", "c.data"):
        assert parse_corpus(file_of(ROWS), name, "c") == parse_corpus(as_json.encode(), "c.jsonl", "c")


def test_chats_and_columns_of_any_type_are_read() -> None:
    turns = [
        {"role": "user", "content": "blarf?", "tool": None},
        {"role": "assistant", "content": "happy", "tool": None},
    ]
    raw = written(
        {"conversation": [turns], "n": [7], "when": [date(2026, 1, 2)], "image": [b"\0\1"], "score": [float("nan")]}
    )
    table = read_table(raw, "c.parquet")
    assert table.columns == ("conversation", "n", "when", "image", "score")
    assert table.rows[0][1]["image"] == "[2 bytes]"
    assert table.is_foreign
    (example,) = parse_corpus(raw, "c.parquet", "c", columns=columns_of("messages=conversation")).examples
    assert [message.content for message in example.messages] == ["blarf?", "happy"]


def test_what_nobody_sees_is_refused_here_too() -> None:
    rows = [ROWS[0], {**ROWS[1], "text": "a bl\u200barf cat"}]
    with pytest.raises(CorpusRefused, match=r"line 2: has the invisible character U\+200B"):
        parse_corpus(file_of(rows), "c.parquet", "c")


def test_a_file_that_is_none_is_refused() -> None:
    whole = file_of(ROWS)
    for raw in (b"PAR1", b"", b"text\nx\n", whole[: len(whole) // 2], whole[:40] + bytes(60) + whole[100:]):
        assert "Parquet" in refused(raw)


def test_more_rows_and_text_than_are_allowed_are_refused() -> None:
    assert parquet_lines(file_of(ROWS), max_rows=1, max_characters=1000)[2][0].reason.startswith("has 2 rows; 1 are")
    reason = parquet_lines(file_of(ROWS), max_rows=9, max_characters=50)[2][0].reason
    assert reason.startswith("holds more than")


@pytest.mark.parametrize("nested", [False, True])
def test_a_small_file_that_asks_for_much_memory_is_refused(nested: bool) -> None:
    """15 GB in a kilobyte: one long text that every row repeats."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 15_000_000]))
    if nested:
        column = pa.ListArray.from_arrays(pa.array(range(1001), pa.int32()), column)
    raw = written({"text": column}, compression="zstd", store_schema=False)
    assert len(raw) < 5_000
    reason = parquet_lines(raw, max_rows=100_000, max_characters=MAX_BYTES)[2][0].reason
    assert "memory" in reason or "MB of text" in reason
