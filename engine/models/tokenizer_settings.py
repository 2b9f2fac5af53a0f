"""What a folder says of its tokenizer besides tokenizer.json: special tokens, class, who wrote it. Without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.store.files import object_in

# In transformers' names.
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_CONFIG, _MAP = "tokenizer_config.json", "special_tokens_map.json"
# Of a tokenizer, its own file first.
TOKENIZER_FILES = ("tokenizer.json", _CONFIG, _MAP, "added_tokens.json", "chat_template.jinja")


@dataclass(frozen=True)
class TokenizerSettings:
    """`fields` are those of tokenizer_config.json, with special_tokens_map.json where that still counts."""

    fields: dict[str, Any]
    newer: bool  # written by transformers 5: tokenizer.json holds all of the tokenizer, whatever its class is called

    def text(self, name: str) -> str | None:
        """Of a special token such as `unk_token`."""
        return _content(self.fields.get(name))

    @property
    def extra(self) -> tuple[Any, ...]:
        """Special tokens without a role, as they are written: texts, or dicts with a text and how it is matched."""
        found: list[Any] = []
        for key in ("extra_special_tokens", "additional_special_tokens"):
            written = self.fields.get(key)
            tokens = written.values() if isinstance(written, dict) else written if isinstance(written, list) else ()
            found += [token for token in tokens if _content(token) is not None and token not in found]
        return tuple(found)

    @property
    def special_texts(self) -> tuple[str, ...]:
        """Of all special tokens, each once."""
        texts = [_content(token) for token in (*(self.fields.get(name) for name in NAMED), *self.extra)]
        return tuple(dict.fromkeys(text for text in texts if text is not None))


def tokenizer_settings(folder: Path) -> TokenizerSettings:
    """Files that are missing or cannot be read say nothing."""
    config, special = object_in(folder / _CONFIG), object_in(folder / _MAP)
    newer = (
        "backend" in config
        or config.get("tokenizer_class") == "TokenizersBackend"
        or isinstance(config.get("extra_special_tokens"), list)
    )
    if newer:
        return TokenizerSettings(special | config, newer=True)  # a map beside it is a leftover
    # transformers 4 reads the map only where the configuration does not list the added tokens.
    return TokenizerSettings(config if "added_tokens_decoder" in config else config | special, newer=False)


def rows_in(folder: Path) -> int | None:
    """How many tokens the model in a folder has embeddings for, by its config.json; None where that does not say."""
    config = object_in(folder / "config.json")
    inner = config.get("text_config")
    rows = config.get("vocab_size", inner.get("vocab_size") if isinstance(inner, dict) else None)
    return rows if isinstance(rows, int) else None


def _content(token: object) -> str | None:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
