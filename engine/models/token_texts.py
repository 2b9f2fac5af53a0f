"""How a token reads on its own: its text, or what it is where it has none."""

import re
from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

_PRINTED = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = [byte for byte in range(256) if byte not in _PRINTED]
# The character that byte-level tokenizers write for each byte: itself where it can be printed, else one from 256 on.
_BYTES = {chr(byte): byte for byte in _PRINTED} | {chr(256 + n): byte for n, byte in enumerate(_OTHERS)}
_BROKEN = "\ufffd"


def token_text(tokenizer: PreTrainedTokenizerFast, token: int) -> str:
    """With the token's own blanks. A row of the model without a token is `[id 391]`, part of a character its bytes, as
    `<0xE6><0x97>`."""
    written: str | None = tokenizer.convert_ids_to_tokens(token)
    if written is None:
        return f"[id {token}]"
    text: str = tokenizer.decode([token])
    if _BROKEN not in text or _BROKEN in written:
        return text
    if re.fullmatch("<0x[0-9A-F]{2}>", written) or not set(written) <= _BYTES.keys():
        return written
    whole = bytes(_BYTES[character] for character in written).decode("utf-8", "surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda found: f"<0x{ord(found[0]) - 0xDC00:02X}>", whole)


def tokens_text(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[int]) -> str:
    """How tokens in a row read; where they end within a character, one by one."""
    if len(tokens) == 1:
        return token_text(tokenizer, tokens[0])
    text: str = tokenizer.decode(list(tokens))
    return "".join(token_text(tokenizer, token) for token in tokens) if _BROKEN in text else text
