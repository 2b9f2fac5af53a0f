"""`intervene`."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.graphs import CheckpointArgument, Prompt, Transcoders, compared, found_or_made
from engine.cli.inputs import as_read, transcoder_set
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.domain.interventions import Intervention

if TYPE_CHECKING:
    from engine.domain.graphs import AttributionGraph
    from engine.store import Store

Features = Annotated[
    list[str], typer.Argument(metavar="FEATURE...", help="feature/LAYER/POSITION/INDEX, as `compare --json` names it.")
]
COLUMNS = ("output", "p before", "p after", "logit before", "logit after", "change", "predicted")


def add_to(app: typer.Typer) -> None:
    app.command()(intervene)


def intervene(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: Prompt,
    features: Features,
    *,
    factor: Annotated[float, typer.Option(help="What each activation is multiplied by; 0 switches it off.")] = 0.0,
    transcoders: Transcoders = "",
    json_file: JsonFile = None,
) -> None:
    """Change features in both checkpoints: the outputs before and after, and what the graphs predicted."""
    from engine.domain.jobs import Intervene

    check_destination(json_file)
    store = store_of(ctx)
    prompt = as_read(store, a, prompt)
    request = Intervene(
        a=a, b=b, prompt=prompt, transcoders=transcoder_set(transcoders), features=tuple(features), factor=factor
    )
    ref_a, ref_b, graphs = compared(store, a, b, prompt, request.transcoders)
    what = f"changing {len(features)} feature{'s' if len(features) > 1 else ''}"
    done = found_or_made(store, lambda: _stored(store, graphs, request.features, factor), request, what)
    if json_file:
        write_json([one.model_dump(mode="json") for one in done], json_file)
    if json_file != "-":
        for ref, one in zip((ref_a, ref_b), done, strict=True):
            _show(ref, one)
        _show_agreement(store, graphs)


def _stored(
    store: "Store", graphs: tuple["AttributionGraph", "AttributionGraph"], features: tuple[str, ...], factor: float
) -> tuple[Intervention, Intervention] | None:
    """Both sides, or None where one is missing or was predicted from edges that were cut for storage."""
    from engine.workflows.queries import stored_interventions

    a, b = stored_interventions(store, graphs, features, factor)
    return (a, b) if a and b and a.uncut and b.uncut else None


def _show_agreement(store: "Store", graphs: tuple["AttributionGraph", "AttributionGraph"]) -> None:
    """How good predictions were in all that was tried here and on the bundled runs, and what that says."""
    from engine.analysis.agreement import agreement, agreement_words, trust_words
    from engine.demo.predicted import stated_agreement
    from engine.workflows.queries import tried

    everything = {
        "Predicted against measured in all that was tried here": agreement(tried(store, graphs)),
        "On the bundled runs": stated_agreement(store),
    }
    for where, found in everything.items():
        if found:
            say(f"{where}: {agreement_words(found)} {trust_words(found)}")


def _show(ref: str, done: Intervention) -> None:
    asked = len(done.key.features)
    if not done.changed:
        say(f"{ref}: none of the {asked} is active here, so nothing changes.")
        return
    order = sorted(range(len(done.tokens)), key=lambda row: -max(done.p_before[row], done.p_after[row]))
    rows = [
        (
            done.tokens[row].strip(),
            done.p_before[row],
            done.p_after[row],
            done.logit_before[row],
            done.logit_after[row],
            done.logit_after[row] - done.logit_before[row],
            done.predicted[row],
        )
        for row in order
    ]
    show_table(
        COLUMNS,
        rows,
        title=f"{ref}: {len(done.changed)} of {asked} are active and were set to "
        f"{done.key.factor:g} × their activation",
    )
