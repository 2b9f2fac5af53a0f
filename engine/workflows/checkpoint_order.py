"""Which of the checkpoints that were found make the run, in which order, and what beside them is left out of it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from engine.domain.errors import InputError
from engine.domain.imports import FoundCheckpoint, FoundKind
from engine.domain.numbers import plural
from engine.domain.runs import MOST_STEPS
from engine.workflows.trainer_logs import whole_number

# Where a name has both, the step tells more than the epoch. A decimal (`epoch_0.5`) is no step.
_STEPS, _EPOCHS = (
    re.compile(rf"(?:^|[-_.=])(?:{words})[-_=]?(\d{{1,9}})(k(?![a-z\d]))?(?!\d|\.\d)", re.IGNORECASE)
    for words in ("checkpoint|ckpt|global[-_]?step|steps?|iter", "epochs?")
)
ONE: Final[dict[FoundKind, str]] = {
    "adapter": "an adapter", "changed weights": "a checkpoint of changed weights", "full": "a full model",
}  # fmt: skip
SEVERAL: Final[dict[FoundKind, str]] = {
    "adapter": "adapters", "changed weights": "checkpoints of changed weights", "full": "full models",
}  # fmt: skip
_NO_STEP: Final = "its step is not told"
_ZERO: Final = "it is step 0, where training began"


def step_in(name: str) -> int | None:
    """`checkpoint-500`, `ckpt-1k`, `epoch_3`, `epoch=0-step=250` (250), `step20000-tokens84B`, `600`; None of
    `llama-3-lora`."""
    if re.fullmatch(r"\d{1,9}", name):
        return int(name)
    number = _STEPS.search(name) or _EPOCHS.search(name)
    return int(number[1]) * (1000 if number[2] else 1) if number else None


def epochs_from_one(found: Sequence[FoundCheckpoint]) -> list[FoundCheckpoint]:
    """torchtune and others count epochs from 0: where there is an `epoch_0` it is of step 1, `epoch_1` of step 2."""
    if not any(one.step == 0 and _is_of_epoch(one) for one in found):
        return list(found)
    return [one.model_copy(update={"step": (one.step or 0) + 1}) if _is_of_epoch(one) else one for one in found]


def _is_of_epoch(one: FoundCheckpoint) -> bool:
    """Whether its step is the number of an epoch in a name."""
    told = next((name for name in _names(one) if step_in(name) is not None), "")
    return not whole_number(one.trainer.get("global_step")) and bool(_EPOCHS.search(told)) and not _STEPS.search(told)


def by_step(one: FoundCheckpoint) -> tuple[bool, int, bool]:
    """Of one step, those whose folder is named by it come first."""
    return one.step is None, one.step or 0, not is_named_by_step(one)


def could_have_step(one: FoundCheckpoint) -> bool:
    """Whether it is one of those that a person sets steps for, in the order of `by_step`."""
    return one.taken or one.needs_step or one.usable


def is_named_by_step(one: FoundCheckpoint) -> bool:
    """Whether its folder, the one around it, or its revision on the hub tells the step."""
    return any(step_in(name) is not None for name in _names(one))


def _names(one: FoundCheckpoint) -> tuple[str, ...]:
    inner, outer = one.path.parent.name, one.path.parent.parent.name
    # As in `epoch_0/actor/lora_adapter`; of one without a step that far up, such a name says nothing.
    return one.path.name, inner, outer if one.step is not None else "", one.hub.id.revision if one.hub else ""


def several_runs(found: Sequence[FoundCheckpoint]) -> dict[Path, list[FoundCheckpoint]]:
    """By folder, the checkpoints of what looks like several runs, as of seeds side by side; empty where it looks like
    one. They do where two folders have a checkpoint of the same step, or several of several steps each."""
    usable = [one for one in found if (one.taken or one.needs_step) and one.same_as is None and one.hub is None]
    around = {one.path: _folder_of_series(one) for one in usable}
    runs: dict[Path, list[FoundCheckpoint]] = {}
    for one in usable:
        is_around = one.path in around.values()  # the last adapter, beside its checkpoints
        runs.setdefault(one.path if is_around else around[one.path], []).append(one)
    steps = Counter(step for ones in runs.values() for step in {one.step for one in ones} - {None})
    is_twice = max(steps.values(), default=0) > 1
    return dict(sorted(runs.items())) if len(runs) > 1 and (is_twice or min(map(len, runs.values())) > 1) else {}


def _folder_of_series(one: FoundCheckpoint) -> Path:
    """The folder that the one that is named by a step lies in. A bare number further up may be a date or a seed."""
    above = [up for up in one.path.parents[:2] if not up.name.isdigit()]
    return next((place for place in (one.path, *above) if step_in(place.name) is not None), one.path).parent


def in_order(
    found: Sequence[FoundCheckpoint], inside: Mapping[Path, Path], steps: Sequence[int]
) -> list[FoundCheckpoint]:
    """Each as it is taken, left out, or refused with the reason. `found`: by step.

    `inside`: of what was found with others in a folder that a person named, that folder. Beside checkpoints with steps
    it is left out where it is no part of their series: of another kind, or of no step or one that is there. What a
    person named by itself is refused instead. `steps`: of all, or of those that are not left out. Raises InputError.
    """
    if steps and len(steps) == sum(one.taken for one in found):
        return _last_without_step(_numbered(found, steps), {})
    series = {inside[one.path] for one in found if one.taken and one.step and one.path in inside}
    beside = {path: folder for path, folder in inside.items() if folder in series}
    kind, bases = _kind_of_series(found), {one.base for one in found if one.step}
    found = [_of_other_kind(one, kind, bases) if one.path in beside else one for one in found]
    if steps:
        kept = [one if one.step or one.path not in beside else _left_out(one, _why_no_step(one)) for one in found]
        return _last_without_step(_numbered(kept, steps), {})
    return _last_without_step(found, beside)


def _kind_of_series(found: Sequence[FoundCheckpoint]) -> FoundKind:
    """What most checkpoints with steps are."""
    kinds = Counter(one.kind for one in found if one.taken and one.step)
    return max(ONE, key=lambda kind: kinds[kind])  # of equally many, adapters


def _of_other_kind(one: FoundCheckpoint, kind: FoundKind, bases: AbstractSet[str]) -> FoundCheckpoint:
    """Left out where it is of another kind than the series, its base, or cannot be taken and belongs nowhere in it."""
    if one.same_as is not None:
        return one
    if one.step is None and str(one.path) in bases:
        return _left_out(one.model_copy(update={"taken": False}), "the others say that they were trained from it")
    if not one.taken:
        return one if one.step else _left_out(one, one.why)
    if one.kind == kind:
        return one
    no_step = "" if one.step else ", and its name tells no step"
    return _left_out(one, f"it is {ONE[one.kind]}, while the others are {SEVERAL[kind]}{no_step}")


def _why_no_step(one: FoundCheckpoint) -> str:
    return _NO_STEP if one.step is None else _ZERO


def _left_out(one: FoundCheckpoint, why: str) -> FoundCheckpoint:
    """As it is, where it is not taken for another reason."""
    if one.left_out or one.same_as is not None:
        return one
    update = {"taken": False, "left_out": True, "usable": one.taken, "why": f"left out: {why}", "stored": ""}
    return one.model_copy(update=update)


def _refused(one: FoundCheckpoint, why: str) -> FoundCheckpoint:
    return one.model_copy(update={"taken": False, "needs_step": True, "why": why, "stored": ""})


def _numbered(found: Sequence[FoundCheckpoint], steps: Sequence[int]) -> list[FoundCheckpoint]:
    usable = [one for one in found if one.taken]
    if len(steps) != len(usable):
        said = "1 step was" if len(steps) == 1 else f"{len(steps)} steps were"
        raise InputError(f"{said} given for {plural(len(usable), 'checkpoint')}. Give one for each, in order.")
    if sorted(set(steps)) != list(steps) or not all(1 <= step <= MOST_STEPS for step in steps):
        raise InputError("Steps must be whole numbers of at least 1, each larger than the one before.")
    given = iter(steps)
    return [one.model_copy(update={"step": next(given)}) if one.taken else one for one in found]


def _last_without_step(found: Sequence[FoundCheckpoint], beside: Mapping[Path, Path]) -> list[FoundCheckpoint]:
    """One without a step comes last: at the step where training ended, if the others' state tells it.

    Two that nothing orders, two of one step, or step 0 are not taken: left out `beside` a series, else the person must
    say.
    """
    taken = [one for one in found if one.taken]
    last = max((one.step or 0 for one in taken), default=0)
    end = max((whole_number(one.trainer.get("max_steps")) or 0 for one in taken), default=0)
    unknown = [one for one in taken if one.step is None]
    seen: dict[int, FoundCheckpoint] = {}
    result = []
    for one in found:
        is_beside = one.path in beside
        if not one.taken:
            result.append(one)
        elif one.step is None and len(unknown) == 1 and (not last or end > last):
            step = end if end > last else 1
            why = f"{_NO_STEP}: it comes last, at the end of training" if last else _NO_STEP
            result.append(one.model_copy(update={"step": step, "why": why}))
        elif not one.step and is_beside:
            result.append(_left_out(one, _why_no_step(one)))
        elif one.step is None:
            result.append(_refused(one, f"{_NO_STEP}: give those of all"))
        elif one.step == 0:
            way = "name it as the base model, " if one.kind == "full" else ""
            result.append(_refused(one, f"{_ZERO}: {way}leave it out, or give the steps of all"))
        elif one.step in seen:
            why = f"it is of step {one.step} too, as {seen[one.step].path}"
            may_go = is_beside and not is_named_by_step(one)
            result.append(
                _left_out(one, why) if may_go else _refused(one, f"{why}: give only one, or the steps of all")
            )
        else:
            seen[one.step] = one
            result.append(one)
    return result
