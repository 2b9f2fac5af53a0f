"""A stranger's tokenizer is first read in a process of its own: its library panics, and a crash there ends the process.

What passed is known by what is in its files. So each is tried once a process, and again when it has changed.
"""

import logging
from pathlib import Path
from typing import Final

from engine.domain.errors import Damaged
from engine.domain.foreign import translated
from engine.models.apart import apart
from engine.models.tokenizer_settings import tokenizer_settings
from engine.store.files import file_hash
from engine.store.kept import kept_values

_log = logging.getLogger(__name__)
_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
LIMIT_S: Final = 3.0  # of the processor, and a second more for each of
_BYTES_A_SECOND: Final = 1_000_000
_MEMORY: Final = (
    200_000_000  # bytes, and for each of the files so many more; SmolLM2's takes 35 MB and 12 times its size
)
_TIMES_ITS_SIZE: Final = 40
_READ: Final = (".json", ".txt", ".model", ".jinja")  # what tokenizers are made of
_AGAIN: Final = "Download or save the model again."
_passed: set[tuple[str, ...]] = set()
# `rendered` runs a template as transformers' `apply_chat_template` does; to import that takes ten times as long.
TEMPLATES: Final = r"""
from datetime import datetime
from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("as_it_is"), [], [], body).set_lineno(line)

    def as_it_is(self, caller):
        return caller()

def raise_exception(message):
    raise TemplateError(message)

def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

def rendered(template, turns, is_open, tokens):
    jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    jinja.filters["tojson"] = tojson
    jinja.globals.update(raise_exception=raise_exception, strftime_now=lambda form: datetime.now().strftime(form))
    return jinja.from_string(template).render(
        messages=turns, tools=None, documents=None, add_generation_prompt=is_open, **tokens
    )
"""
# What is wrong without harm is told by who reads it here.
_CODE: Final = r"""
try:
    from tokenizers import Tokenizer
except ImportError:
    print(json.dumps({"said": ""})); sys.exit()
said = ""
try:
    words = Tokenizer.from_file(given["file"])
    words.no_padding(); words.no_truncation()
    for text in given["texts"]:
        read = words.encode(text, add_special_tokens=False)
        words.decode(read.ids)
except BaseException as error:
    said = " ".join(str(error).split())[:300] or type(error).__name__
for template in given["templates"]:
    for turns in given["conversations"]:
        try:
            rendered(template, turns, True, given["tokens"])
        except MemoryError:
            said = said or "its chat template takes too much memory"
        except Exception:  # it may take other turns, and whoever renders it tells what is wrong
            pass
print(json.dumps({"said": said}))
"""
# Patterns that never come to an end mostly begin with much of one kind.
_TEXTS: Final = (
    "A text, 1 of 2.", "", " ", "a" * 500, "aB" * 250, " " * 300 + "x", "1" * 300, "\n" * 99, "é東京" * 50, "_-'." * 60,
)  # fmt: skip
_TURNS: Final = [{"role": role, "content": "x"} for role in ("system", "user", "assistant", "user")]


def refuse_harmful(folder: Path) -> None:
    """Read the tokenizer in a folder, some texts and a conversation with it, elsewhere.

    Nothing to do where there is no tokenizer.json, or where these files have passed before. Raises Damaged where it
    cannot be read at all, or takes too long or too much memory.
    """
    file = folder / _FILES[0]
    if not file.is_file():
        return
    there = [folder / name for name in _FILES if (folder / name).is_file()]
    with translated(lambda reason: Damaged(folder, f"the tokenizer cannot be read ({reason})", _AGAIN)):
        about = tuple(f"{path.name} {file_hash(path)}" for path in there)
        if about in _passed:
            return
        n_bytes = sum(path.stat().st_size for path in there)
        given = {"file": str(file), "texts": _TEXTS, "conversations": [_TURNS, _TURNS[1:2], _TURNS[1:]]} | _chat(folder)
    limit_s = LIMIT_S + n_bytes // _BYTES_A_SECOND
    code = (TEMPLATES if given["templates"] else "") + _CODE  # jinja2 is a third of its time
    try:
        ended = apart(code, given, limit_s=limit_s, n_bytes=_MEMORY + _TIMES_ITS_SIZE * n_bytes, packages=True)
    except OSError as error:  # no process can be had: then as before
        _log.warning("%s could not be tried in a process of its own: %s", folder, error)
        return
    why = ended.why or (ended.said or {}).get("said", "")
    if why:
        raise Damaged(folder, f"the tokenizer cannot be read ({why})", _AGAIN)
    _passed.add(about)


# Nothing of it needs torch, whose addresses alone would be beyond the limit.
_CONVERT: Final = r"""
import os
os.environ["USE_TORCH"] = "0"
said = text = ""
try:
    from transformers import AutoConfig, AutoTokenizer
    config = AutoConfig.for_model(given["family"]) if given["family"] else None
    found = AutoTokenizer.from_pretrained(
        given["folder"], config=config, local_files_only=True, trust_remote_code=False
    )
    text = found.backend_tokenizer.to_str() if found.is_fast else ""
except BaseException as error:
    said = " ".join(str(error).split())[:300] or type(error).__name__
print(json.dumps({"said": said, "text": text}))
"""
_CONVERT_S: Final = 20.0  # of the processor, of which one is for transformers
_CONVERT_MEMORY: Final = 600_000_000  # bytes; a third of them is for transformers


def converted(folder: Path, family: str) -> str:
    """A tokenizer.json of a folder that has none, made by transformers of what there is, elsewhere; kept for as long as
    nothing in the folder changes. Empty where only a slow tokenizer can be had.

    `family`: model_type of its model, where that is known. Raises Damaged where it cannot be read, or takes too long or
    too much memory.
    """
    with translated(lambda reason: Damaged(folder, f"the tokenizer cannot be read ({reason})", _AGAIN)):
        there = [(path, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    key = "converted", family, tuple((str(path), about.st_size, about.st_mtime_ns) for path, about in there)
    n_bytes = sum(about.st_size for path, about in there if path.suffix in _READ)
    return kept_values().get(key, lambda: _converted(folder, family, n_bytes), holder="models")


def _converted(folder: Path, family: str, n_bytes: int) -> str:
    most_bytes = _CONVERT_MEMORY + _TIMES_ITS_SIZE * n_bytes
    limit_s = _CONVERT_S + n_bytes // _BYTES_A_SECOND
    given = {"folder": str(folder), "family": family}
    try:
        ended = apart(_CONVERT, given, limit_s=limit_s, n_bytes=most_bytes, packages=True)
    except OSError as error:
        raise Damaged(folder, f"the tokenizer cannot be read (no process could be begun: {error})", _AGAIN) from error
    said = ended.said or {}
    if why := ended.why or said.get("said", ""):
        raise Damaged(folder, f"the tokenizer cannot be read ({why})", _AGAIN)
    return str(said.get("text", ""))


def _chat(folder: Path) -> dict[str, object]:
    """Its templates, and the special tokens that they may name."""
    settings, file = tokenizer_settings(folder), folder / _FILES[3]
    written = settings.fields.get("chat_template")
    named = written if isinstance(written, list) else [{"template": written}]
    texts = [one.get("template") for one in named if isinstance(one, dict)]
    if file.is_file():
        texts.append(file.read_text(encoding="utf-8", errors="replace"))
    tokens = {name: settings.text(name) or "" for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    return {"templates": [text for text in texts if isinstance(text, str)], "tokens": tokens}
