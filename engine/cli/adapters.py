"""`import`, and `import-adapter`, its name of before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.inputs import stored_corpus
from engine.cli.output import JsonFile, check_destination, note, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import InputError
from engine.domain.hub import HubId
from engine.domain.imports import ImportPreview
from engine.domain.jobs import ImportCheckpoints
from engine.domain.models import ModelSpec
from engine.domain.paths import person_path
from engine.domain.words import listed
from engine.workflows.model_specs import model_spec

if TYPE_CHECKING:
    from engine.store import Store


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_checkpoints)
    app.command("import-adapter", hidden=True)(import_checkpoints)


def import_checkpoints(
    ctx: typer.Context,
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER|HUB-ID...",
            help="What PEFT or Trainer saved, or ids on the Hugging Face hub, which may end in @ and a revision.",
        ),
    ],
    *,
    name: Annotated[str, typer.Option(metavar="RUN", help="Name of the run that they become.")] = "",
    model: Annotated[
        str,
        typer.Option(
            metavar="M",
            help="Their base: demo, a Hugging Face folder, or a hub id. Else the known model that they say, or demo; "
            "of revisions of a model the first.",
        ),
    ] = "",
    corpus: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Its probes are measured at every checkpoint.")
    ] = None,
    steps: Annotated[
        str, typer.Option(metavar="N,N,…", help="Their steps in order, where folders do not tell them.")
    ] = "",
    log: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.csv", help="Measures by step, as TensorBoard or W&B exports them; may be repeated."),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only tell what would be taken in.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Take in checkpoints that were trained elsewhere: a trainer's output folder, single checkpoints, or hub ids.

    What lies on the hub is downloaded into the Hugging Face cache; with --preview only its small JSON files are.
    """
    from engine.jobs import run_inline
    from engine.workflows.added_vocabulary import what_is_kept
    from engine.workflows.checkpoint_folders import log_notes
    from engine.workflows.checkpoint_folders import preview as preview_of
    from engine.workflows.declared_bases import another_base
    from engine.workflows.hub_checkpoints import download_words, first_revision, hub_ids, look_at

    check_destination(json_file)
    numbers, ids = _numbers(steps), hub_ids(folders)
    looked = look_at(ids)
    base = model or first_revision(folders, looked) or ""
    found = preview_of([person_path(folder) for folder in folders], steps=numbers, looked=looked, base=base)
    if json_file:
        write_json(found.model_dump(mode="json"), json_file)
    if preview:
        if json_file != "-":
            _show(found)
            _tell(
                _ways(found, numbers), download_words(found, None, looked), _compared_with(base, ids), log_notes(found)
            )
        return
    _check(found, name, numbers)
    store = store_of(ctx)
    spec = _base(store, base, found)
    taught = stored_corpus(store, corpus).name if corpus else None
    # Whole paths: who tries the job again may be in another folder.
    absolute = tuple(folder if folder in ids else str(person_path(folder).absolute()) for folder in folders)
    request = ImportCheckpoints(
        name=name, folders=absolute, model=spec, corpus=taught, steps=numbers,
        logs=tuple(str(person_path(file).absolute()) for file in log or ()),
    )  # fmt: skip
    if json_file != "-":
        _tell(download_words(found, spec, looked) + _compared_with(base, ids))
    if base not in ids and (told := another_base(store, spec, found.taken)):
        note(told)
    with progress(f"importing {name}") as report:
        run_inline(store, request, on_progress=report)
    if json_file == "-":
        return
    say(f"{name}: {', '.join(checkpoint.label for checkpoint in store.checkpoints(name))}")
    notes = (f"{one.path}: {one.why}" for one in found.checkpoints if one.why)
    _tell(*notes, _ways(found, numbers), log_notes(found), *what_is_kept(store, name))


def _tell(*lines: str) -> None:
    for line in lines:
        if line:
            say(line)


def _check(found: ImportPreview, name: str, numbers: Sequence[int]) -> None:
    """Raises InputError where something cannot be taken, or the run has no name."""
    from engine.workflows.checkpoint_folders import refusal

    if why := refusal(found):
        raise InputError(" ".join(filter(None, (why, _ways(found, numbers)))))
    if not name:
        raise InputError("Name the run that they become with --name, or look first with --preview.")


def _base(store: "Store", named: str, found: ImportPreview) -> ModelSpec:
    """The model that the checkpoints are put onto. Raises InputError where the hub’s say no known one."""
    from engine.workflows.declared_bases import likely_base

    if not named and (own := likely_base(store, found.taken)):
        note(f"Put onto {own.name}, as --model names no other base.")
        return own
    first = next((one for one in found.taken if one.hub), None)
    if named or first is None:
        return model_spec(named or "demo", tuple(store.models()))
    said = (
        f"{first.path} says that it was trained from {first.base}" if first.base else f"{first.path} says no base model"
    )
    raise InputError(
        f"{said}. Name the base with --model: a folder that holds it, or its hub id, from where it is downloaded."
    )


def _ways(found: ImportPreview, steps: Sequence[int]) -> str:
    """How what is not taken can be, by the options of this command; empty where nothing is missed."""
    from engine.workflows.checkpoint_order import several_runs

    runs = [] if steps else [str(folder) for folder in several_runs(found.checkpoints)]
    each = (
        f"These look like {len(runs)} runs: import {listed(runs)} each by itself, unless they are one. " if runs else ""
    )
    if any(one.needs_step for one in found.refused):
        one = "For one run, give" if runs else "Give"
        return f"{each}{one} the steps of all, in this order, with --steps N,N,…."
    if each:
        return each.strip()
    if usable := [one for one in found.left_out if one.usable]:
        n = len(found.taken) + len(usable)
        together = f", or with the rest by steps for all {n} (--steps N,N,…)" if found.of_same_kind else ""
        return f"What is left out can be imported alone, by its own folder{together}."
    return ""


def _compared_with(base: str, ids: Mapping[str, HubId]) -> str:
    """Which of several revisions is the base; empty where none is."""
    return f"{base} is the base that they are compared with." if base in ids else ""


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputError(f"“{text[:80]}” are no steps. Write whole numbers with commas between: 100,200.") from error


def _show(found: ImportPreview) -> None:
    rows = [
        (
            "–" if one.step is None else one.step, one.kind, "yes" if one.taken else "no", str(one.path),
            ". ".join(part for part in (one.why, one.stored) if part),
        )
        for one in found.checkpoints
    ]  # fmt: skip
    show_table(("step", "kind", "taken", "folder", "why, and what is stored"), rows, title="What would be taken in")
