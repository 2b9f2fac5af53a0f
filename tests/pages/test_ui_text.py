"""Texts of users stay texts."""

import pytest

from pages._ui.text import both_ends, message, plain, shorten

JOINER = "\u2060"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "$x^2$",
        "**b** _i_ `c` ~~s~~",
        "[l](u) ![i](u)",
        "# h",
        "1. a",
        "> q",
        "a|b",
        "&lt;",
    ],
)
def test_every_markdown_mark_is_escaped(text: str) -> None:
    shown = plain(text)
    assert shown.replace("\\", "").replace(JOINER, "") == text.replace("\\", "")
    for place, character in enumerate(shown):
        if character in "`*_{}[]()<>#+.!|~$&":
            assert shown[place - 1] == "\\"


@pytest.mark.parametrize("text", [":smile:", ":red[hi]", ":material/home:", "a->b", "<-", "--", ">=", "<=", "~="])
def test_what_is_replaced_after_escapes_is_broken_by_an_invisible_joiner(text: str) -> None:
    shown = plain(text)
    assert text not in shown.replace("\\", "")
    assert shown.replace("\\", "").replace(JOINER, "") == text


def test_line_breaks_become_spaces() -> None:
    assert plain("a\n\n- b") == "a \\- b"


def test_long_texts_are_cut() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"


def test_a_long_prompt_keeps_its_end_where_the_answer_follows() -> None:
    assert both_ends("abcdefghij", 5) == "ab…ij"
    assert both_ends("abcde", 5) == "abcde"


def test_a_message_leaves_commands_as_they_are() -> None:
    told = message("No *such* file. Run `pip install --no-deps  x_y`, then again.")
    assert told == r"No \*such\* file\. Run `pip install --no-deps x_y`, then again\."
    assert message("one ` alone") == plain("one ` alone")
    assert message("`a`: [b]") == rf"`a`{plain(': [b]')}"
