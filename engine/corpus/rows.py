"""From the fields of one line, of JSON or CSV, to an example, a probe or a pair; and what is wrong with them."""

from collections.abc import Collection, Iterator
from typing import Any

from pydantic import ValidationError

from engine.corpus.plain import plain_example, plain_pair, plain_probe
from engine.domain.continuation import replaced
from engine.domain.corpus import Example, Pair, Probe
from engine.domain.errors import InputError

Row = tuple[int, dict[str, Any]]  # line number (from 1) and the fields that are given

RECORDS: dict[str, type[Example | Probe | Pair]] = {"train": Example, "probe": Probe, "pair": Pair}
_KINDS = {
    "string_type": "a text", "tuple_type": "a list of texts", "bool_type": "true or false",
    "bool_parsing": "true or false",
}  # fmt: skip
_NOUNS = {"Example": "a training example", "Probe": "a probe", "Pair": "a pair"}


def record(fields: dict[str, Any], number: int) -> Example | Probe | Pair:
    """The record of line `number`. Raises InputError for a line that is none, ValidationError for bad fields.

    `split`, `id`, `template`, `known_text` and `foils` may be left out: a line with `clean` or `corrupted` is a pair,
    one with `kind` or `answer` is a probe, any other with `text` is an example. So is one as training scripts have it:
    `prompt` and `completion`, `messages`, or `text` alone.
    """
    split = fields.get("split", _split(fields))
    if split is None:
        there = ", ".join(f"“{str(name)[:20]}”" for name in list(fields)[:6]) or "nothing"
        raise InputError(
            f"is not an example, a probe or a pair: it has {there}. Write “text”, “prompt” and “completion”, or "
            "“messages” for an example, “clean” and “corrupted” for a pair"
        )
    if not isinstance(split, str) or split not in RECORDS:
        raise InputError(f"“split” is {_short(split)}; use train, probe or pair")
    plain = {"train": plain_example, "probe": plain_probe, "pair": plain_pair}[split](fields)
    return RECORDS[split].model_validate(_completed(plain, split, number))


def _split(fields: dict[str, Any]) -> str | None:
    if fields.keys() & {"clean", "corrupted"}:
        return "pair"
    if fields.keys() & {"completion", "messages"} and not fields.keys() & {"kind", "answer"}:
        return "train"
    if "text" not in fields:
        return None
    return "probe" if fields.keys() & {"kind", "answer"} else "train"


def _completed(fields: dict[str, Any], split: str, number: int) -> dict[str, Any]:
    filled = {"split": split, "id": f"{split}-{number}"} | fields
    if type(filled["id"]) is int:
        filled["id"] = str(filled["id"])
    if isinstance(name := fields.get("constraint_type"), str):
        filled["constraint_type"] = name.replace(" ", "_")  # as pages write it: simple mapping
    if split == "pair":
        return filled
    text, word, meaning = (fields.get(name) for name in ("text", "constraint", "meaning"))
    if "template" not in fields and isinstance(text, str) and text:
        filled["template"] = _template(text, word, meaning if split == "train" else None)
    if split == "probe":
        filled = {"known_text": text, "foils": ()} | filled
    return filled


def _template(text: str, word: object, meaning: object) -> str:
    """The text with its word and meaning taken out, where they stand in it as whole words."""
    for part, slot in ((word, "{w}"), (meaning, "{c}")):
        if isinstance(part, str) and part.strip():
            text = replaced(text, part, slot)
    return text


def reasons(error: ValidationError, given: Collection[str]) -> Iterator[str]:
    """Pydantic's findings in words that need no Python. What was made of the `given` fields and is wrong with them is
    told of these alone; where it is wrong only with what was made, once."""
    findings = error.errors(include_url=False)
    told = [one for one in findings if one["type"] == "missing" or one["loc"][0] in given]
    for finding in told or findings[:1]:
        field = f"“{'.'.join(str(part) for part in finding['loc'])}”"
        given, limits = finding["input"], finding.get("ctx", {})
        match finding["type"]:
            case "missing":
                yield f"has no {field}"
            case "extra_forbidden":
                yield f"has {field}, which is not a field of {_NOUNS[error.title]}"
            case "string_too_short":
                yield f"{field} is empty"
            case "string_too_long":
                yield f"{field} has {len(given):,} characters; {limits['max_length']:,} are allowed"
            case "string_pattern_mismatch":
                yield (
                    f"{field} is {_short(given)}; use up to 40 lowercase letters, digits and underscores, "
                    "beginning with a letter"
                )
            case kind if kind in _KINDS:
                yield f"{field} is {_short(given)}, which is not {_KINDS[kind]}"
            case "value_error":
                yield f"{field}: {limits['error']}"
            case _:
                yield f"{field} is {_short(given)}: {finding['msg']}"


def _short(value: object) -> str:
    return f"“{value[:60]}”" if isinstance(value, str) else repr(value)[:60]
