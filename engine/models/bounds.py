"""What a folder may ask for: patterns that end soon, sizes that its own weights have. Looked at before any work.

Python's `re` cannot be interrupted, so a pattern is not run to see whether it ends: its parts are looked at.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import factorial
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

from safetensors import safe_open
from transformers import PretrainedConfig

from engine.domain.errors import Damaged, InputError

_LONGEST = 2_000  # characters of a pattern
_NAME = 40  # characters of a module's name, about
_MOST_STEPS = 200_000  # for one name
_REPEATS: Final = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_CHARACTER: Final = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)
_LAYER = re.compile(r"\.(\d{1,9})\.")
_DIMENSIONS: Final = (  # names of sizes that some tensor must have
    "hidden_size", "n_embd", "d_model", "intermediate_size", "n_inner", "ffn_dim", "vocab_size", "word_embed_proj_dim",
)  # fmt: skip
_LAYERS: Final = ("num_hidden_layers", "n_layer", "num_layers")
_PATTERNS: Final = ("target_modules", "exclude_modules", "layers_pattern")  # a text is one, a list has names
_KEYS: Final = ("rank_pattern", "alpha_pattern")  # of which the keys are patterns
_RANKS: Final = ("r", "init_r", "target_r")


def refuse_endless(adapter: Path, fields: Mapping[str, object]) -> None:
    """Raises InputError where a pattern of an adapter's configuration might never end."""
    for name, pattern in _patterns(fields):
        if why := why_endless(pattern):
            raise InputError(
                f"{adapter}: {name} is the pattern “{pattern[:60]}”, which {why}, so it is not tried. Save the adapter "
                "with the names of the modules as a list, or with a simpler pattern."
            )


def _patterns(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name in _PATTERNS:
        if isinstance(value := fields.get(name), str):
            yield name, value
        elif name == "layers_pattern" and isinstance(value, Sequence):
            yield from ((name, str(one)) for one in value)
    for name in _KEYS:
        if isinstance(value := fields.get(name), Mapping):
            yield from ((name, rf".*\.{key}") for key in value)  # as PEFT completes it
    if isinstance(value := fields.get("modules_to_save"), Sequence) and not isinstance(value, str):
        yield from (("modules_to_save", rf".*\.{one}") for one in value)


def why_endless(pattern: str) -> str:
    """What of a pattern keeps it from ending soon on every name; empty where nothing does."""
    if len(pattern) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    try:
        steps = _steps(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        return f"is none ({str(error)[:60] or type(error).__name__})"
    return "" if steps <= _MOST_STEPS else "could take for ever to match"


def _steps(items: Any) -> float:
    """About how often a name could be split over the parts of a pattern, in the worst case."""
    n_repeats, factor = 0, 1.0
    for kind, about in items:
        if kind in _REPEATS:
            low, high, inside = about
            if high == 1:
                factor *= 2 * _steps(inside)
            elif low == high <= _NAME and _is_character(inside):
                continue
            elif _is_character(inside):
                n_repeats += 1
            else:
                return float("inf")  # what is repeated can itself be read in several ways
        elif kind in (sre.SUBPATTERN, sre.ATOMIC_GROUP):
            factor *= _steps(about[-1] if kind is sre.SUBPATTERN else about)
        elif kind in (sre.ASSERT, sre.ASSERT_NOT):
            factor *= _steps(about[1])
        elif kind is sre.BRANCH:
            factor *= _steps_of_branches(about[1])
        elif kind in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            return float("inf")
    # So many ways are there to share out a name's characters.
    return factor * _NAME**n_repeats / factorial(n_repeats)


def _steps_of_branches(branches: Sequence[Any]) -> float:
    """Of words of which none begins another one, only one can match."""
    words = ["".join(chr(about) for _, about in one) for one in branches if all(kind is sre.LITERAL for kind, _ in one)]
    clear = len(words) == len(branches) and not any(
        one is not other and other.startswith(one) for one in words for other in words
    )
    return 1.0 if clear else sum(_steps(one) for one in branches)


def _is_character(items: Any) -> bool:
    return len(items) == 1 and items[0][0] in _CHARACTER


def refuse_larger_than_weights(adapter: Path, weights: Path, fields: Mapping[str, object]) -> None:
    """Raises InputError where a rank is larger than any side of the adapter's tensors: it would be made first.

    Raises SafetensorError, OSError where the tensors cannot be read.
    """
    ranks = [fields.get(name) for name in _RANKS]
    if isinstance(pattern := fields.get("rank_pattern"), Mapping):
        ranks += pattern.values()  # AdaLoRA's are lists, which are held to their tensors where these are put on
    numbers = [value for value in ranks if isinstance(value, int)]
    largest = max((max(shape, default=0) for _, shape in _shapes(weights)), default=0)
    if too_large := [value for value in numbers if value > max(largest, 1)]:
        raise InputError(
            f"{adapter} says a rank of {max(too_large):,}, and no side of its tensors is longer than {largest:,}. Its "
            "configuration belongs to other weights: copy both files from one checkpoint."
        )


def refuse_other_sizes(folder: Path, config: PretrainedConfig) -> None:
    """Raises Damaged where a configuration asks for more layers, or longer sides, than the folder's weights have.

    The model would be made first, which for a wrong number takes hours or all of the memory. Raises SafetensorError,
    OSError where the weights cannot be read.
    """
    layers, largest = set(), 0
    for path in sorted(folder.glob("*.safetensors")):
        for name, shape in _shapes(path):
            layers |= set(_LAYER.findall(f".{name}."))
            largest = max(largest, *shape) if shape else largest
    asked = [value for name in _LAYERS if isinstance(value := getattr(config, name, None), int)]
    if asked and max(asked) > len(layers):
        raise Damaged(
            folder, f"config.json says {max(asked):,} layers, and the weights have {len(layers):,}", _TOGETHER
        )
    for name in _DIMENSIONS:
        value = getattr(config, name, None)
        if isinstance(value, int) and value > largest:
            reason = f"config.json says {name} is {value:,}, and no side of the weights is longer than {largest:,}"
            raise Damaged(folder, reason, _TOGETHER)


_TOGETHER = "Copy config.json and the weights from one model."


def _shapes(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of every tensor, from the head of the file alone."""
    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
            yield name, tuple(file.get_slice(name).get_shape())
