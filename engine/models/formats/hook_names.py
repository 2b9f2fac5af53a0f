"""Other programs' names of where a transcoder reads and writes, told as those in `engine.models.hook_points`.

TransformerLens: `blocks.3.ln2.hook_normalized`. Module paths: `model.layers.3.mlp`, with `.input` or `.output` behind.
"""

import re
from dataclasses import dataclass

from engine.domain.errors import InputError
from engine.models.families import Family
from engine.models.hook_points import READS, WRITES

_LENS = re.compile(r"(?:blocks\.(\d{1,5})\.)?([a-z_0-9.]+)")
_MODULE = re.compile(r"(?:[a-z_]+\.)*(\d{1,5})\.([a-z_0-9.]+?)(?:\.(input|output))?")
# TransformerLens copies the stream in front of the MLP's norm to `hook_mlp_in`.
_READS = {**dict(zip(READS, READS, strict=True)), "hook_mlp_in": "hook_resid_mid", "mlp_in": "mlp.hook_in"}
_WRITES = dict(zip(WRITES, WRITES, strict=True))


@dataclass(frozen=True)
class HookPoint:
    """Where one transcoder reads or writes; a name may leave the layer out."""

    layer: int | None
    hook: str


def read_at(name: str, family: Family, *, side: str = "output") -> HookPoint:
    """Of a name; `side` is that of a module whose path does not say it. Raises InputError for any other place."""
    modules = {
        (family.mlp_reads, "input"): "mlp.hook_in",
        (family.before_mlp, "output"): "mlp.hook_in",
        (family.before_mlp, "input"): "hook_resid_mid",
    }
    return _place(name, side, _READS, modules) or _refuse("read", name, READS)


def written_at(name: str, family: Family) -> HookPoint:
    """Of a name. Raises InputError for a place other than what the MLP writes."""
    modules = {
        (family.mlp_writes, "output"): "mlp.hook_out",
        (family.after_mlp, "output"): "hook_mlp_out",
    }
    return _place(name, "output", _WRITES, modules) or _refuse("write", name, WRITES)


def _place(name: str, side: str, lens: dict[str, str], modules: dict[tuple[str, str], str]) -> HookPoint | None:
    if (match := _LENS.fullmatch(name)) and match[2] in lens:
        return HookPoint(int(match[1]) if match[1] else None, lens[match[2]])
    if (match := _MODULE.fullmatch(name)) and (match[2], match[3] or side) in modules:
        return HookPoint(int(match[1]), modules[match[2], match[3] or side])
    return None


def _refuse(what: str, name: str, known: tuple[str, ...]) -> HookPoint:
    raise InputError(
        f"These transcoders {what} at “{name[:80]}”, which is not a place around an MLP that is known here. Use a set "
        f"whose transcoders {what} at {' or '.join(known)} or the module of the same place, or none: a shared set is "
        "then trained."
    )
