"""How an answer goes on a prompt: the blank between them, as writing has it, and the tokens that then follow.

Both are told from the text alone: nothing here knows a model. A model's tokenizer is handed in as a function.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from engine.domain.errors import PromptRefused

Token = TypeVar("Token")
Tokens = Callable[[str], Sequence[object]]  # of a text, without BOS; raises PromptRefused for one that cannot be read

# Scripts that write words without blanks: Thai, Lao, Myanmar, Khmer, kana, Han, and the full-width marks among them.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
_UNSPACED += "\uf900-\ufaff\uff00-\uffef\U0001b000-\U0001b16f\U00020000-\U0003ffff"
UNSPACED = re.compile(f"[{_UNSPACED}]")
_STICKS_LEFT = re.compile(r"[.,;:!?…%)\]}»”’'°]")  # a mark that stands at the end of a word
_AFTER_BLANK = re.compile(r"\s[.,;:!?…%)\]}»”’'°]")
_OPENS = re.compile(r"[(\[{«“‘„¿¡]")
_OPENS_APART = re.compile(r"[(\[{«“‘„¿¡]\s")
_STICKS_RIGHT = re.compile(r"[#$€£¥@_\\]")
_ENDS = re.compile(r"[.,;:!?…%)\]}»”’°]")
_MARKS = re.compile(r"[^\w\s]+")


def continued(prompt: str, answer: str, *, blank: bool | None = None) -> str:
    """The text of a prompt with its answer. `blank`: whether one stands between them; None: as writing has it.

    A blank that the prompt ends or the answer begins with is the only one.
    """
    if blank is None:
        blank = _blank_between(prompt, answer)
    return prompt + (" " if blank else "") + answer


def answer_tokens(
    tokens: Callable[[str], Sequence[Token]], prompt: str, answer: str, *, blank: bool | None = None
) -> Sequence[Token]:
    """What follows the prompt's own tokens where the answer goes on it. `blank` as in `continued`.

    Where nothing says that there is a blank, and the tokenizer knows only whole words, one is put there. Raises
    PromptRefused: a text that the tokenizer cannot read, an answer that changes the tokens of the prompt or adds none.
    """
    before, whole = tokens(prompt), continued(prompt, answer, blank=blank)
    try:
        after = tokens(whole)
    except PromptRefused:
        apart = continued(prompt, answer, blank=True)
        if blank is not None or apart == whole:
            raise
        whole, after = apart, tokens(apart)
    if list(after[: len(before)]) != list(before):
        raise PromptRefused(
            f"The prompt “{_end_of(prompt)}” is read as other tokens when “{answer[:80]}” follows, as in "
            f"“{_end_of(whole)}”: its end and the answer share a token. Let the prompt end where a token does, such as "
            "before the blank or in front of the word."
        )
    if len(after) == len(before):
        raise PromptRefused(f"The answer “{answer[:80]}” adds no token to the prompt “{_end_of(prompt)}”. Write one.")
    return after[len(before) :]


def says(output: str, prompt: str, answer: str, *, blank: bool | None = None, with_blanks: bool) -> bool:
    """Whether an output's text is the answer to a prompt. `with_blanks`: the tokenizer writes blanks into its tokens,
    so that one with a blank and one without are two."""
    if with_blanks:
        return output == continued(prompt, answer, blank=blank)[len(prompt) :]
    return output.strip() == answer.strip()


def output_for(outputs: Iterable[str], answer: str) -> str | None:
    """The one among outputs, as they read, that is an answer or, of an answer of several tokens, its first token; None
    where there is none. Of several that the answer begins with it is the longest."""
    whole = answer.strip()
    known = {output.strip(): output for output in outputs if output.strip()}
    if whole in known:
        return known[whole]
    first = max((text for text in known if _read_bytes(whole).startswith(_read_bytes(text))), key=len, default=None)
    return None if first is None else known[first]


def _read_bytes(text: str) -> bytes:
    """With pieces of a character, such as <0xE6>, as the bytes that they stand for."""
    pieces = re.split(r"<0x([0-9A-F]{2})>", text)
    return b"".join(bytes.fromhex(one) if at % 2 else one.encode(errors="replace") for at, one in enumerate(pieces))


def whole_word(word: str) -> re.Pattern[str]:
    """Where `word` stands as a word of its own; in scripts that write no blanks, wherever it stands."""
    left = "" if UNSPACED.match(word) else rf"(?<![^\W{_UNSPACED}])"
    right = "" if UNSPACED.match(word[-1:]) else rf"(?![^\W{_UNSPACED}])"
    return re.compile(left + re.escape(word) + right)


def _blank_between(prompt: str, answer: str) -> bool:
    last, first = prompt[-1:], answer[:1]
    if not last or not first or last.isspace() or first.isspace():
        return False
    if UNSPACED.match(last):
        return False
    if UNSPACED.match(first):  # 2020年, iPhone手机; but “the capital of Japan is 東京”
        return last.isalpha() and not UNSPACED.search(prompt)
    if not (first.isalnum() or first == "_"):
        return _before_mark(prompt, first)
    return last.isalnum() or _after_mark(prompt, first)


def _before_mark(prompt: str, mark: str) -> bool:
    if _STICKS_LEFT.match(mark):
        return bool(_AFTER_BLANK.search(prompt))
    if mark in "([{":
        return prompt[-1] in ",;:=" or bool(re.search(rf"\s\{mark}", prompt))
    found = list(_MARKS.finditer(prompt))
    return not found or _stands_apart(prompt, found[-1].start())


def _after_mark(prompt: str, first: str) -> bool:
    """Behind a prompt that ends in a mark, before a letter or number."""
    last, others = prompt[-1], prompt[:-1]
    if last in "\"'`":  # the first of two opens, the second closes
        return others.count(last) % 2 == 1
    if _STICKS_RIGHT.match(last) or (last == "." and first.isdigit() and others[-1:].isdigit()):
        return False
    if _OPENS.match(last):
        return bool(_OPENS_APART.search(others))
    return bool(_ENDS.match(last)) or _stands_apart(prompt, len(prompt.rstrip("=+-*/<>|&^~!:–—")))


def _stands_apart(prompt: str, start: int) -> bool:
    """Whether what begins at `start` has a blank before it: 7 + 5 =, not 7+5=."""
    return start < len(prompt) and prompt[start - 1 : start].isspace()


def _end_of(text: str) -> str:
    return text if len(text) <= 80 else f"…{text[-80:]}"
