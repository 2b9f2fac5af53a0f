"""What a configuration asks for is bounded before PEFT or transformers acts on it.

A file can hold a pattern that Python's `re` never comes to the end of, or a size that takes all memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from safetensors import SafetensorError

from engine.domain.errors import Damaged, InputError
from engine.domain.model_families import LAYER_KEYS
from engine.models.apart import apart
from engine.store.tensor_headers import tensor_headers

LIMIT_S: Final = 3.0  # thousands of names against a pattern that somebody wrote take milliseconds
_LAYERS_AT_MOST: Final = 10_000  # of a configuration without weights beside it
RANK_AT_MOST: Final = 1024  # where the adapter's file holds no larger one
_SIZES: Final = ("hidden_size", "n_embd", "intermediate_size", "n_inner", "ffn_dim", "vocab_size")
_LONGEST: Final = 10_000  # characters; all modules of a model one by one would be listed, not written as a pattern
_REPEATS: Final = frozenset("*+{")  # without one of these a pattern is done in one pass
# As PEFT puts them around the words of a configuration, `{}` being the word (tuners_utils, utils/other, lora/model).
_AROUND: Final[Mapping[str, str]] = {
    "target_modules": "{}",
    "exclude_modules": "{}",
    "feedforward_modules": "{}",
    "rank_pattern": r"(.*\.)?({})$",
    "alpha_pattern": r"(.*\.)?({})$",
    "layers_pattern": r"(?:^|.*?\.){}\.(?P<idx>\d+)\.",
    "modules_to_save": r"(^|.*\.){}($|\..*)",
}
_LISTS_ARE_NAMES: Final = ("target_modules", "exclude_modules", "feedforward_modules")  # compared, not matched
# Python alone, without our packages. What is no pattern is PEFT's to refuse.
_CODE: Final = """
import re
patterns, names = given
for pattern in patterns:
    try:
        found = re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        continue
    for name in names:
        found.match(name)
        found.fullmatch(name)
"""


def refuse_ranks(source: Path, config: Mapping[str, object], weights: Path) -> None:
    """PEFT makes matrices of the ranks that are told before it reads those that were saved.

    Raises InputError where a told rank is larger than RANK_AT_MOST and than all that `weights` holds.
    """
    patterns = config.get("rank_pattern")
    told = [config.get("r"), config.get("init_r"), *(patterns.values() if isinstance(patterns, dict) else ())]
    most = max((rank for rank in told if isinstance(rank, int | float)), default=0)
    if most <= RANK_AT_MOST:
        return
    try:
        held = max((side for tensor in tensor_headers(weights) for side in tensor.shape), default=0)
    except (OSError, SafetensorError):  # reading them says what is wrong
        return
    if most > held:
        raise InputError(f"{source} says that the rank is {most:,}, and {weights.name} holds no matrix of that size.")


def refuse_sizes(folder: Path, config: Mapping[str, object]) -> None:
    """transformers makes room for what config.json says before it looks at what was saved: for lists of layers already
    while it reads the configuration.

    Raises Damaged where a size is larger than every side of every tensor in the files of `folder`, or the layers are
    more than the tensors, or, where there are none, than any model has; SafetensorError and OSError for a file that is
    none.
    """
    tensors = [tensor for path in folder.glob("*.safetensors") for tensor in tensor_headers(path)]
    largest = max((side for tensor in tensors for side in tensor.shape), default=0)
    held = ((LAYER_KEYS, len(tensors)), (_SIZES, largest)) if tensors else ((LAYER_KEYS, _LAYERS_AT_MOST),)
    for names, most in held:
        for name in names:
            said = config.get(name)
            if isinstance(said, int) and said > most:
                raise Damaged(
                    folder / "config.json", f"it says that {name} is {said:,}, and the files hold nothing of that size",
                    "Copy the model again.",
                )  # fmt: skip


def refuse_endless(source: object, config: Mapping[str, object], names: Sequence[str]) -> None:
    """Match the patterns of an adapter's configuration with the names of a model's modules, in a process that is ended
    after LIMIT_S.

    Raises InputError naming `source`, where they lie, and the pattern.
    """
    for key, pattern in _patterns(config):
        if not _REPEATS & set(pattern):
            continue
        if len(pattern) > _LONGEST or not _ends(_AROUND[key].replace("{}", pattern), tuple(names)):
            raise InputError(
                f"{source}: {key} holds a pattern that takes too long to match with the names of this model’s modules: "
                f"“{pattern[:60]}”. List the names of the modules instead."
            )


def _patterns(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key in _AROUND:
        value = config.get(key)
        if isinstance(value, str):
            yield key, value
        elif key not in _LISTS_ARE_NAMES and isinstance(value, list | dict):
            yield from ((key, word) for word in value if isinstance(word, str))


@lru_cache(maxsize=256)
def _ends(pattern: str, names: tuple[str, ...]) -> bool:
    return not apart(_CODE, [[pattern], names], limit_s=LIMIT_S).why
