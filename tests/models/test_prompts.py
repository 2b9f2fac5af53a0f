"""What a prompt is read as, and which token its answer is: those of the tokenizer, as the text stands."""

import pytest

from engine.domain.errors import PromptRefused
from engine.models.prompts import PromptReader
from tests.byte_level import byte_level_tokenizer
from tests.tiny import tiny_tokenizer

TOKENIZER = byte_level_tokenizer()


@pytest.mark.parametrize(
    ("prompt", "answer", "token"),
    [
        ("2+3=", "5", "5"),
        ("the cat is", "happy", " happy"),
        ("the cat is", " happy", " happy"),
        ("日本の首都は", "東京", "東京"),
        ("the cat is 4", "2", None),  # “4 2” is two more tokens: a blank and a digit
        ("x", "y", None),
    ],
)
def test_the_answer_is_the_token_behind_its_prompt(prompt: str, answer: str, token: str | None) -> None:
    read = PromptReader(TOKENIZER)
    if token is None:
        with pytest.raises(PromptRefused, match=rf"“{answer}” is 2 tokens of this model \(Ġ {answer}\) after this"):
            read.next_token(prompt, answer)
    else:
        assert TOKENIZER.decode([read.next_token(prompt, answer)]) == token


def test_the_blank_can_be_said() -> None:
    read = PromptReader(TOKENIZER)
    assert TOKENIZER.decode([read.next_token("the cat is 4", "2", blank=False)]) == "2"
    assert TOKENIZER.decode([read.next_token("日本の首都は", " happy")]) == " happy"


def test_an_answer_that_runs_into_its_prompt_is_told_with_the_text() -> None:
    read = PromptReader(byte_level_tokenizer(["は東", *["東京"]]))
    with pytest.raises(PromptRefused, match="“首都は” is read as other tokens when “東京” follows, as in “首都は東京”"):
        read.next_token("首都は", "東京")


def test_a_tokenizer_of_whole_words_has_blanks_between_them() -> None:
    tokenizer = tiny_tokenizer()
    read = PromptReader(tokenizer)
    assert tokenizer.decode([read.next_token("the cat is happy", ".")]) == "."
    with pytest.raises(PromptRefused, match="“qwertz”"):
        read.next_token("the cat is", "qwertz")


def test_what_tokenizer_json_says_of_padding_and_length_does_not_count() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    assert PromptReader(tokenizer).prompt("the cat is", limit=9)[1:] == TOKENIZER.encode("the cat is")
