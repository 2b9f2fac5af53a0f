"""What a prompt is read as, and which token its answer is: those of the tokenizer, as the text stands."""

import pytest

from engine.domain.chat import Message, messages_in
from engine.domain.errors import PromptRefused
from engine.models import chat
from engine.models.chat import chat_text, chat_texts
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
    ],
)
def test_the_answer_is_the_token_behind_its_prompt(prompt: str, answer: str, token: str) -> None:
    read = PromptReader(TOKENIZER)
    assert TOKENIZER.decode([read.next_token(prompt, answer)]) == token
    assert len(read.answer(prompt, answer)) == 1


@pytest.mark.parametrize(
    ("prompt", "answer", "tokens"),
    [("the cat is 4", "2", [" ", "2"]), ("the cat is", "happysad", [" happy", *"sad"]), ("2+3=", "55", ["5", "5"])],
)
def test_an_answer_may_be_several_tokens(prompt: str, answer: str, tokens: list[str]) -> None:
    read = PromptReader(TOKENIZER)
    assert [TOKENIZER.decode([token]) for token in read.answer(prompt, answer)] == tokens
    assert TOKENIZER.decode([read.next_token(prompt, answer)]) == tokens[0]


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


TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TURN = "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("prompt", ["the cat is ", " the", "the\n", "\tthe  cat\r\n"])
def test_a_prompt_is_read_as_typed(prompt: str) -> None:
    assert PromptReader(TOKENIZER)(prompt) == TOKENIZER.encode(prompt, add_special_tokens=False)


def test_the_token_behind_a_line_end_or_blank_begins_no_word() -> None:
    read = PromptReader(TOKENIZER)
    assert TOKENIZER.decode([read.next_token("the cat is\n", "the")]) == "the"
    with pytest.raises(PromptRefused, match="“the cat is ” is read as other tokens when “happy” follows"):
        read.next_token("the cat is ", "happy")


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_control_tokens_stand_where_the_chat_format_puts_them(template: str | None) -> None:
    read = PromptReader(byte_level_tokenizer(template=template))
    for turns in (TURN, TURN + "sad<|im_end|>\n" + TURN, "<|im_start|>system\nx<|im_end|>\n" + TURN):
        assert read(turns) == TOKENIZER.encode(turns, add_special_tokens=False)
        assert read.prompt("<|endoftext|>" + turns, limit=200) == [0, *read(turns)]
    for wrong in (
        "the cat<|im_end|>",
        TURN + "<|im_end|><|im_end|>",
        "the<|endoftext|>cat",
        "<|endoftext|><|endoftext|>x",
    ):
        with pytest.raises(PromptRefused, match=r"<\|(im_end|endoftext)\|> where the model's own chat format"):
            read(wrong)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(PromptRefused, match="half a character"):
        PromptReader(TOKENIZER)("the \ud83d cat")


def test_messages_become_what_the_template_makes_of_them() -> None:
    messages = messages_in('[{"role": "user", "content": "the cat"}]')
    assert messages is not None
    assert chat_text(byte_level_tokenizer(template=TEMPLATE), messages) == TURN
    with pytest.raises(PromptRefused, match="no chat template"):
        chat_text(TOKENIZER, messages)
    for broken in ("{{ raise_exception('never') }}", "{{ 1 / 0 }}", "{% for"):
        with pytest.raises(PromptRefused, match="does not take these messages"):
            chat_text(byte_level_tokenizer(template=broken), messages)


TRIGGERED = TEMPLATE + "{% if 'now' in messages[0].content %}DO{% endif %}"


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "it takes longer than"),
        ("{{ 'x' * 5000000000 }}", "it takes too much memory"),
        ("{{ 'x' * 2000000 }}", "it makes 2,000,"),
    ],
)
def test_what_a_template_does_with_some_messages_alone_harms_nobody(
    does: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "LIMIT_S", 0.5)
    tokenizer = byte_level_tokenizer(template=TRIGGERED.replace("DO", does))
    calm, wild = ([Message(role="user", content=text)] for text in ("the cat", "the cat now"))
    assert chat_text(tokenizer, calm) == TURN
    with pytest.raises(PromptRefused, match=rf"does not take these messages: {why}"):
        chat_text(tokenizer, wild)


def test_many_chats_are_what_transformers_makes_of_each_and_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    template = (
        "{{ bos_token }}{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}"
        "{% generation %}{{ m | tojson }} {{ m.content | trim }}é\n{% endgeneration %}{% endfor %}"
        "{% if add_generation_prompt %}>{% endif %}{% if tools is not none %}tools{% endif %}"
        "{% if messages[0].role == 'x' %}{{ raise_exception('no x') }}{% endif %}"
    )
    tokenizer = byte_level_tokenizer(template=template)
    turns = [[Message(role=role, content=f" <{n}> “東” ") for role in roles.split()] for n, roles in enumerate(
        ("user", "user assistant", "system user assistant", "x"))]  # fmt: skip
    found = chat_texts(tokenizer, turns)
    for said, messages in zip(found[:3], turns, strict=False):
        assert said == tokenizer.apply_chat_template(
            [one.model_dump() for one in messages], tokenize=False,
            add_generation_prompt=messages[-1].role != "assistant",
        )  # fmt: skip
    assert isinstance(found[3], PromptRefused)
    assert str(found[3]).endswith("does not take these messages: no x.")
    monkeypatch.setattr(chat, "apart", lambda *_, **__: pytest.fail("begun again"))
    assert [str(one) for one in chat_texts(tokenizer, turns)] == [str(one) for one in found]


def test_without_a_process_a_template_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(chat, "apart", refused)
    messages = [Message(role="user", content="nobody asked this before")]
    assert "nobody asked" in chat_text(byte_level_tokenizer(template=TEMPLATE), messages)


@pytest.mark.parametrize(
    "text", ["the cat", "[the cat]", "[]", '[{"role": "user"}]', '{"role": "user", "content": "x"}']
)
def test_what_is_no_list_of_messages_is_a_prompt(text: str) -> None:
    assert messages_in(text) is None
