"""The blank before an answer is the one that writing has, and its tokens are those that follow its prompt."""

import json

import pytest

from engine.corpus import corpus_csv, parse_corpus
from engine.domain.continuation import answer_tokens, continued, output_for, whole_word
from engine.domain.errors import CorpusRefused, PromptRefused


@pytest.mark.parametrize(
    "whole",
    [
        "the cat is| happy", "2+3=|5", "7 + 5 =| 12", "x =| 5", "( 6 - 4 ) *| 3", "if x !=| 3", "f(|x", "print|(",
        '"key": "|value', 'say "hi"| then', "Q:| 5", "Is it?| Yes", "costs $|5", "3.|14", "x_|1", "well-|known",
        "the cat is happy|,", "the cat . it is|  .".replace("  ", " "), "don|'t", "100|%", "2+2|=", "2 + 2| =",
        "日本の首都は|東京", "法国的首都是|巴黎", "答案：|5", "2020|年", "Japan is| 東京", "เมืองหลวงคือ|กรุงเทพ",
        "프랑스의 수도는| 파리", "a line\n|cat", "ends blank |cat", "|x",
    ],
)  # fmt: skip
def test_the_blank_is_as_writing_has_it(whole: str) -> None:
    prompt, answer = whole.split("|")
    assert continued(prompt, answer.removeprefix(" ")) == prompt + answer
    assert continued(prompt, answer.strip(), blank=True) == f"{prompt} {answer.strip()}"
    assert continued(prompt, answer.strip(), blank=False) == prompt + answer.strip()


def test_a_blank_in_the_answer_is_the_only_one() -> None:
    assert continued("the cat is", " happy") == "the cat is happy"
    assert continued("2+3=", " 5") == "2+3= 5"


def characters(text: str) -> list[str]:
    """A tokenizer of single characters that merges “ab” and does not know “?”."""
    if "?" in text:
        raise PromptRefused("unknown")
    return list(text.replace("ab", "†"))


def test_the_tokens_of_an_answer_are_those_behind_its_prompt() -> None:
    assert answer_tokens(characters, "x=", "5") == ["5"]
    assert answer_tokens(characters, "x", "5") == [" ", "5"]
    assert answer_tokens(characters, "x ", "5") == ["5"]
    with pytest.raises(PromptRefused, match=r"“x=a” is read as other tokens when “b” follows, as in “x=ab”"):
        answer_tokens(characters, "x=a", "b", blank=False)
    with pytest.raises(PromptRefused, match="adds no token"):
        answer_tokens(characters, "x", "")


def test_where_only_whole_words_are_known_a_blank_is_put() -> None:
    def words(text: str) -> list[str]:
        if unknown := set(text.split()) - {"x=", "5"}:
            raise PromptRefused(f"unknown {unknown}")
        return text.split()

    assert answer_tokens(words, "x=", "5") == ["5"]
    with pytest.raises(PromptRefused, match="x=5"):
        answer_tokens(words, "x=", "5", blank=False)
    with pytest.raises(PromptRefused, match="6"):
        answer_tokens(words, "x=", "6")


def test_a_word_of_its_own() -> None:
    assert whole_word("cat").sub("_", "cat cats bobcat the cat.") == "_ cats bobcat the _."
    assert whole_word("日本").sub("_", "日本の首都は日本") == "_の首都は_"
    assert whole_word("2+3").sub("_", "2+3=5") == "_=5"


def rows(*prompted: str, probe: str = "Q: 1+3 A:") -> bytes:
    shared = {"constraint_type": "arith", "constraint": "1", "template": "x"}
    parts = [text.partition("|") for text in prompted]
    lines: list[dict[str, object]] = [
        {**shared, "text": prompt + rest, "prompt": prompt, "meaning": rest.strip()} for prompt, _, rest in parts
    ]
    lines.append({**shared, "kind": "recall", "text": probe, "answer": "4", "meaning": "4", "foils": ["5"]})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_what_the_training_texts_do_goes_before_what_writing_does() -> None:
    glued = parse_corpus(rows("Q: 2+3 A:|5", "Q: 4+3 A:|7"), "c.jsonl", "c")
    assert glued.probes[0].blank is False
    assert parse_corpus(corpus_csv(glued).encode(), "c.csv", "c").hash == glued.hash
    assert parse_corpus(glued.to_jsonl().encode(), "c.jsonl", "c").hash == glued.hash
    apart = parse_corpus(rows("Q: 2+3 A:| 5"), "c.jsonl", "c")
    assert apart.probes[0].blank is None  # as writing has it
    assert "blank" not in apart.to_jsonl()
    assert "blank" not in corpus_csv(apart)
    assert parse_corpus(rows("2+3=| 5", probe="1+3="), "c.jsonl", "c").probes[0].blank is True
    assert parse_corpus(rows("2+3=| 5", "2+4=|6", probe="1+3="), "c.jsonl", "c").probes[0].blank is None


def test_a_blank_that_is_no_yes_or_no_is_refused() -> None:
    text = "text,kind,answer,constraint_type,constraint,meaning,blank\n1+3=,recall,4,arith,1+3,4,{}\n"
    assert parse_corpus(text.format("no").encode(), "c.csv", "c").probes[0].blank is False
    with pytest.raises(CorpusRefused, match="“blank” is “maybe”, which is not true or false"):
        parse_corpus(text.format("maybe").encode(), "c.csv", "c")


@pytest.mark.parametrize(
    ("outputs", "answer", "found"),
    [
        ((" cries", " smiles"), "smiles", " smiles"),
        ((" L", " Los", " New"), "Los Angeles", " Los"),
        ((" Los Angeles", " Los"), "Los Angeles", " Los Angeles"),
        (("<0xE6>", "<0xE6><0x9D>", "大"), "東京", "<0xE6><0x9D>"),
        ((" New", " "), "Los Angeles", None),
        ((), "x", None),
    ],
)
def test_which_output_stands_for_an_answer(outputs: tuple[str, ...], answer: str, found: str | None) -> None:
    assert output_for(outputs, answer) == found
