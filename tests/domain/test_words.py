"""What cannot be seen of a text is shown."""

import pytest

from engine.domain.words import token_name, with_edges


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the cat", "the cat"), (" the cat ", "␣the cat␣"), ("the cat\n", "the cat↵"), ("a\r\nb\tc", "a↵b⇥c"),
        ("  ", "␣␣"), ("", ""), ("\n ", "↵␣"),
    ],
)  # fmt: skip
def test_edges_and_line_ends_are_marked(text: str, shown: str) -> None:
    assert with_edges(text) == shown


def test_a_token_of_blanks_alone_has_a_name() -> None:
    assert [token_name(token) for token in (" cat", "\n", "  ", "cat")] == ["cat", "↵", "␣␣", "cat"]
