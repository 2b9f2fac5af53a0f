"""A folder's tokenizer, whichever transformers saved it. Nothing is written there, and no code of it is run."""

import json
import logging
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import transformers
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.foreign import renamed, translated
from engine.models.configs import AGAIN, model_config
from engine.models.tokenizer_settings import (
    NAMED,
    TOKENIZER_FILES,
    TokenizerSettings,
    rows_in,
    tokenizer_settings,
)
from engine.models.tried import converted, refuse_harmful

logger = logging.getLogger(__name__)

_FILE = "tokenizer.json"
# What transformers 5 writes and the class of transformers 4 must not be given: about the class, or given another way.
_ABOUT_CLASS = frozenset(
    {
        "tokenizer_class", "backend", "is_local", "auto_map", "processor_class", "extra_special_tokens",
        "additional_special_tokens", "added_tokens_decoder", "tokenizer_file", "tokenizer_object", "name_or_path",
        "from_slow", "gguf_file", "vocab_file", "merges_file", "init_inputs", "chat_template", "add_prefix_space",
        "special_tokens_map_file", "local_files_only", "trust_remote_code",
    }
)  # fmt: skip


def read_tokenizer(where: Path, config: PretrainedConfig | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer in a model's folder, or in that of an adapter which brings its own.

    `config` is the model's, where it is at hand; a folder that does not name its tokenizer's class has that of the
    model's family. Raises Damaged (files that cannot be read) and ModelUnavailable (no tokenizer.json, or a class that
    comes as code).
    """
    refuse_harmful(where)
    settings = tokenizer_settings(where)
    if _from_file_alone(where, settings):
        tokenizer = _from_file(where, settings)
    else:
        if config is None and (where / "config.json").is_file():
            config = model_config(where).config
        tokenizer = (_by_class if (where / _FILE).is_file() else _converted)(where, config)
    if tokenizer.pad_token_id is None:  # padding is masked, so any token does; GPT-NeoX has none of its own
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.n_rows = rows_in(where)  # for PromptReader: a token beyond them is none that the model can read
    return tokenizer


def _from_file_alone(where: Path, settings: TokenizerSettings) -> bool:
    """Whether tokenizer.json and the special tokens are all there is: the class is of transformers 5, or unknown."""
    name = settings.fields.get("tokenizer_class")
    known = not name or any(tokenizer_class_from_name(str(name) + end) is not None for end in ("", "Fast"))
    if not known and "auto_map" in settings.fields:
        raise ModelUnavailable(
            f"{where} has a tokenizer that comes as code ({str(name)[:60]}), which is never run. "
            f"Use a model whose tokenizer transformers {transformers.__version__} has itself."
        )
    return settings.newer or not known


def _converted(where: Path, config: PretrainedConfig | None) -> PreTrainedTokenizerFast:
    """Of files of before there was a tokenizer.json (vocab.json and merges.txt, a SentencePiece model): it is made of
    them elsewhere, and then read as any."""
    text = converted(where, "" if config is None else config.model_type)
    if not text:
        raise _no_file(where)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / _FILE).write_text(text, encoding="utf-8")
        for file in TOKENIZER_FILES[1:]:
            if (where / file).is_file():
                shutil.copyfile(where / file, folder / file)
        with renamed({str(folder): str(where)}):
            try:
                refuse_harmful(folder)
                tokenizer = _by_class(folder, config)
            except Damaged as error:
                raise Damaged(where, error.reason, AGAIN) from error
    tokenizer.name_or_path = str(where)
    return tokenizer


def _by_class(where: Path, config: PretrainedConfig | None) -> PreTrainedTokenizerFast:
    with _readable(where):
        tokenizer: Any = AutoTokenizer.from_pretrained(
            where, config=config, local_files_only=True, trust_remote_code=False
        )
    if not tokenizer.is_fast:
        raise _no_file(where)
    return tokenizer


def _from_file(where: Path, settings: TokenizerSettings) -> PreTrainedTokenizerFast:
    if not (where / _FILE).is_file():
        raise _no_file(where)
    with _readable(where):
        words = Tokenizer.from_file(str(where / _FILE))
        others = {key: value for key, value in settings.fields.items() if key not in _ABOUT_CLASS}
        return PreTrainedTokenizerFast(
            tokenizer_object=words,
            name_or_path=str(where),
            **{key: _token(value) if key in NAMED else value for key, value in others.items()},
            additional_special_tokens=[_token(token) for token in settings.extra],
            chat_template=_chat_template(where, settings),
            add_prefix_space=_prefix_space(words),
        )


def _token(written: object) -> object:
    """A special token as it is matched: a text, or one with its own rules for blanks around it."""
    if not isinstance(written, dict):
        return written
    rules = {name: written[name] for name in ("lstrip", "rstrip", "single_word", "normalized") if name in written}
    return AddedToken(written["content"], special=True, **rules)


def _prefix_space(words: Tokenizer) -> bool:
    """As tokenizer.json has it; transformers 4 would put False there where it is not told."""
    try:
        state = json.loads(words.pre_tokenizer.__getstate__())
    except (AttributeError, TypeError, ValueError):  # none, or one of several parts
        return False
    return bool(state.get("add_prefix_space", False))


def _chat_template(where: Path, settings: TokenizerSettings) -> object:
    """A file beside it goes before what the configuration says."""
    file = where / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    written = settings.fields.get("chat_template")
    if isinstance(written, list):  # several by name
        return {one["name"]: one["template"] for one in written}
    return written


def _readable(where: Path) -> AbstractContextManager[None]:
    return translated(lambda reason: Damaged(where, f"the tokenizer cannot be read ({reason})", AGAIN))


def _no_file(where: Path) -> ModelUnavailable:
    return ModelUnavailable(f"{where} has no tokenizer.json. Save its fast tokenizer there.")
